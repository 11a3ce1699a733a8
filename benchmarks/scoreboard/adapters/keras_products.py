"""Keras on TensorFlow: Hessian products through its normalisation layers."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np
import tensorflow as tf
from problems import CASES, EPSILON, GROUPS, HIDDEN, OUTPUTS, NotOfferedError

PACKAGE = "keras"
keras.config.set_floatx("float64")
LAYERS = {
    "layer_norm": lambda: keras.layers.LayerNormalization(epsilon=EPSILON),
    "batch_norm": lambda: keras.layers.BatchNormalization(epsilon=EPSILON),
    "rms_norm": lambda: keras.layers.RMSNormalization(epsilon=EPSILON),
    "group_norm": lambda: keras.layers.GroupNormalization(GROUPS, epsilon=EPSILON),
}


def normalisation(problem):
    """(s, affine) -> the layer's output, with gamma and beta from theta."""
    if problem.norm == "instance_norm":
        raise NotOfferedError("no layer of its own")
    layer = LAYERS[problem.norm]()
    layer.build((CASES, HIDDEN))
    options = {"training": True} if problem.norm == "batch_norm" else {}
    frozen = [variable.value for variable in layer.non_trainable_variables]

    def normalised(s, affine):
        return layer.stateless_call([tf.reshape(part, (HIDDEN,)) for part in affine], frozen, s, **options)[0]

    return normalised


def parts(problem, theta):
    ends = np.cumsum([int(np.prod(shape)) for shape in problem.shapes])
    return [tf.reshape(theta[end - int(np.prod(s)) : end], s) for end, s in zip(ends, problem.shapes, strict=True)]


def forward_over_reverse(problem):
    normalised = normalisation(problem) if problem.norm else None

    def f(theta):
        W, b, *affine, W2, b2 = parts(problem, theta)
        s = tf.constant(problem.X) @ tf.transpose(W) + b
        s = normalised(s, affine) if normalised else s
        z = tf.tanh(s) @ tf.transpose(W2) + b2
        if problem.loss == "squared_error":
            return tf.reduce_mean(keras.losses.mean_squared_error(problem.y, z)) * OUTPUTS / 2
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(problem.y, z, from_logits=True))

    @tf.function
    def product(theta, v):
        with tf.autodiff.ForwardAccumulator(theta, v) as accumulator:
            with tf.GradientTape() as tape:
                tape.watch(theta)
                value = f(theta)
            g = tape.gradient(value, theta)
        return accumulator.jvp(g)

    return lambda theta, v: product(tf.constant(theta), tf.constant(v)).numpy()


HESSIAN = {"forward over reverse, TensorFlow backend": forward_over_reverse}
