"""TensorFlow: Hessian products by accumulator and tape; its own normalisations where it has them."""

import numpy as np
import tensorflow as tf
from problems import CASES, EPSILON, HIDDEN, NORMS, OUTPUTS

PACKAGE = "tensorflow_cpu"


def objective(problem):
    X = tf.constant(problem.X)

    def f(theta):
        ends = np.cumsum([int(np.prod(shape)) for shape in problem.shapes])
        parts = [tf.reshape(theta[end - int(np.prod(s)) : end], s) for end, s in zip(ends, problem.shapes, strict=True)]
        W, b, *affine, W2, b2 = parts
        s = X @ tf.transpose(W) + b
        if problem.norm:
            shape, axis, _ = NORMS[problem.norm]
            s = tf.reshape(s, (CASES, *shape))
            if problem.norm == "rms_norm":
                s = affine[0] * s * tf.math.rsqrt(tf.reduce_mean(s * s, axis, keepdims=True) + EPSILON)
            else:
                mean, variance = tf.nn.moments(s, axis, keepdims=True)
                s = tf.nn.batch_normalization(s, mean, variance, affine[1], affine[0], EPSILON)
        z = tf.tanh(tf.reshape(s, (CASES, HIDDEN))) @ tf.transpose(W2) + b2
        if problem.loss == "squared_error":
            return tf.reduce_sum((z - problem.y) ** 2) / 2 / CASES
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(np.eye(OUTPUTS)[problem.y], z))

    return f


def of(route):
    def factory(problem):
        product = tf.function(route(objective(problem)))
        return lambda theta, v: product(tf.constant(theta), tf.constant(v)).numpy()

    return factory


def gradient(f, theta):
    with tf.GradientTape() as tape:
        tape.watch(theta)
        value = f(theta)
    return tape.gradient(value, theta)


def forward_over_reverse(f):
    def product(theta, v):
        with tf.autodiff.ForwardAccumulator(theta, v) as accumulator:
            g = gradient(f, theta)
        return accumulator.jvp(g)

    return product


def reverse_over_reverse(f):
    def product(theta, v):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            slope = tf.reduce_sum(gradient(f, theta) * v)
        return tape.gradient(slope, theta)

    return product


def reverse_over_forward(f):
    def product(theta, v):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            with tf.autodiff.ForwardAccumulator(theta, v) as accumulator:
                value = f(theta)
            slope = accumulator.jvp(value)
        return tape.gradient(slope, theta)

    return product


HESSIAN = {
    "forward over reverse": of(forward_over_reverse),
    "reverse over reverse": of(reverse_over_reverse),
    "reverse over forward": of(reverse_over_forward),
}
