//! Test vectors answered in Rust, without crates: nonlinearities, losses, saddle, CG, and the gradient, H v and G v of
//! dense networks.   rustc -O -o adapter adapter.rs
//!
//! A request is one line of compact JSON whose keys are unique and whose lists are flat, so that to read a field is to
//! find its name.

#![allow(non_snake_case)] // the symbols of the papers

use std::io::{self, BufRead, Write};

type Reply = Vec<(&'static str, Vec<f64>)>; // "value" is a number, all others are lists

/// A request.
struct Request<'a>(&'a str);

impl<'a> Request<'a> {
    fn field(&self, key: &str) -> Option<&'a str> {
        let quoted = format!("\"{key}\":");
        self.0.find(&quoted).map(|at| &self.0[at + quoted.len()..])
    }

    fn text(&self, key: &str) -> &'a str {
        self.field(key).and_then(|rest| rest.split('"').nth(1)).unwrap_or("")
    }

    /// A list of numbers, or one number as a list of it.
    fn numbers(&self, key: &str) -> Vec<f64> {
        let rest = self.field(key).unwrap_or("");
        let end = if rest.starts_with('[') { rest.find(']') } else { rest.find([',', '}']) };
        let inside = rest[..end.unwrap_or(0)].trim_start_matches('[');
        inside.split(',').filter_map(|number| number.parse().ok()).collect()
    }

    fn number(&self, key: &str) -> f64 {
        self.numbers(key)[0]
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(s, t)| s * t).sum()
}

fn add(x: &mut [f64], alpha: f64, y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(s, t)| *s += alpha * t);
}

/// A x, of a matrix in C order.
fn times(A: &[f64], x: &[f64]) -> Vec<f64> {
    A.chunks(x.len()).map(|row| dot(row, x)).collect()
}

fn logistic(s: f64) -> f64 {
    1.0 / (1.0 + (-s).exp())
}

fn softplus(s: f64) -> f64 {
    s.max(0.0) + (-s.abs()).exp().ln_1p()
}

/// f, f' and f'' at s.
fn nonlinearity(name: &str, s: f64) -> Option<(f64, f64, f64)> {
    let (p, bump) = (logistic(s), logistic(s) * logistic(-s)); // bump = p (1 - p), without cancellation
    let (t, slope) = (s.tanh(), s.cosh().powi(-2));
    Some(match name {
        "tanh" => (t, slope, -2.0 * t * slope),
        "logistic" => (p, bump, -bump * (s / 2.0).tanh()),
        "softplus" => (softplus(s), p, bump),
        "relu" => (s.max(0.0), f64::from(s > 0.0), 0.0),
        "identity" => (s, 1.0, 0.0),
        _ => return None,
    })
}

/// Value, gradient with respect to z and H_L Rz of one case.
fn loss(name: &str, z: &[f64], y: &[f64], Rz: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let n = z.len();
    if name == "squared_error" {
        let Dz: Vec<f64> = (0..n).map(|j| z[j] - y[j]).collect();
        return (dot(&Dz, &Dz) / 2.0, Dz, Rz.to_vec());
    }
    if name == "logistic_cross_entropy" {
        return (
            (0..n).map(|j| softplus(z[j]) - y[j] * z[j]).sum(),
            (0..n).map(|j| (1.0 - y[j]) * logistic(z[j]) - y[j] * logistic(-z[j])).collect(),
            (0..n).map(|j| logistic(z[j]) * logistic(-z[j]) * Rz[j]).collect(),
        );
    }
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = z.iter().map(|t| (t - largest).exp()).sum();
    let p: Vec<f64> = z.iter().map(|t| (t - largest).exp() / total).collect();
    let mean = dot(&p, Rz);
    (
        -(0..n).map(|j| y[j] * (z[j] - largest - total.ln())).sum::<f64>(),
        (0..n).map(|j| p[j] - y[j]).collect(),
        (0..n).map(|j| p[j] * (Rz[j] - mean)).collect(),
    )
}

/// What the forward sweep of a case keeps of a layer: its input a and Ra, and f', f'' and Rs.
struct Layer {
    a: Vec<f64>,
    Ra: Vec<f64>,
    d: Vec<f64>,
    dd: Vec<f64>,
    Rs: Vec<f64>,
}

/// The four sweeps, a case at a time: value, gradient, and H v, or G v if without the residual's part.
fn network(q: &Request) -> Option<Reply> {
    let sizes: Vec<usize> = q.numbers("sizes").iter().map(|&n| n as usize).collect();
    let (theta, l2, cases) = (q.numbers("theta"), q.number("l2"), q.number("cases"));
    let v = if q.field("v").is_some() { q.numbers("v") } else { vec![0.0; theta.len()] };
    let (layers, X, y) = (sizes.len().checked_sub(1)?, q.numbers("X"), q.numbers("y"));
    let (mut f, mut g, mut Hv) = (0.0, vec![0.0; theta.len()], vec![0.0; theta.len()]);
    for (x, y) in X.chunks(sizes[0]).zip(y.chunks(sizes[layers])) {
        let (mut a, mut Ra, mut at, mut tape) = (x.to_vec(), vec![0.0; x.len()], 0, Vec::new());
        for l in 0..layers {
            let (m, n) = (sizes[l], sizes[l + 1]);
            let name = if l + 1 < layers { q.text("nonlinearity") } else { "identity" };
            let (W, V) = (&theta[at..at + m * n], &v[at..at + m * n]);
            let (mut s, mut Rs) = (theta[at + m * n..][..n].to_vec(), v[at + m * n..][..n].to_vec());
            for i in 0..m {
                add(&mut s, a[i], &W[i * n..][..n]);
                add(&mut Rs, a[i], &V[i * n..][..n]);
                add(&mut Rs, Ra[i], &W[i * n..][..n]);
            }
            let values: Vec<_> = s.iter().map(|&s| nonlinearity(name, s)).collect::<Option<_>>()?;
            let (d, dd) = (values.iter().map(|t| t.1).collect::<Vec<_>>(), values.iter().map(|t| t.2).collect());
            let next: (Vec<f64>, Vec<f64>) = (0..n).map(|j| (values[j].0, d[j] * Rs[j])).unzip();
            tape.push(Layer { a, Ra, d, dd, Rs });
            (a, Ra) = next;
            at += (m + 1) * n;
        }
        let (value, mut Da, mut RDa) = loss(q.text("loss"), &a, y, &Ra);
        f += value / cases;
        if q.text("operation") == "gauss_newton_product" {
            Da.fill(0.0);
        }
        for (l, Layer { a, Ra, d, dd, Rs }) in tape.iter().enumerate().rev() {
            let (m, n) = (sizes[l], sizes[l + 1]);
            at -= (m + 1) * n;
            let (W, V) = (&theta[at..at + m * n], &v[at..at + m * n]);
            let Ds: Vec<f64> = (0..n).map(|j| d[j] * Da[j]).collect();
            let RDs: Vec<f64> = (0..n).map(|j| d[j] * RDa[j] + dd[j] * Rs[j] * Da[j]).collect();
            for i in 0..m {
                add(&mut g[at + i * n..][..n], a[i] / cases, &Ds);
                add(&mut Hv[at + i * n..][..n], a[i] / cases, &RDs);
                add(&mut Hv[at + i * n..][..n], Ra[i] / cases, &Ds);
            }
            add(&mut g[at + m * n..][..n], 1.0 / cases, &Ds);
            add(&mut Hv[at + m * n..][..n], 1.0 / cases, &RDs);
            RDa = (0..m).map(|i| dot(&W[i * n..][..n], &RDs) + dot(&V[i * n..][..n], &Ds)).collect();
            Da = times(W, &Ds);
        }
    }
    f += l2 / 2.0 * dot(&theta, &theta);
    add(&mut g, l2, &theta);
    add(&mut Hv, l2, &v);
    Some(if q.text("operation") == "gradient" {
        vec![("value", vec![f]), ("gradient", g)]
    } else {
        vec![("product", Hv)]
    })
}

fn cg(q: &Request) -> (Vec<f64>, &'static str) {
    let (A, M, mut x, mut r) = (q.numbers("A"), q.numbers("M"), q.numbers("x0"), q.numbers("b"));
    let inverse = |r: &[f64]| if M.is_empty() { r.to_vec() } else { times(&M, r) };
    add(&mut r, -1.0, &times(&A, &x));
    let mut z = inverse(&r);
    let (mut p, mut trace) = (z.clone(), x.clone());
    for _ in 0..q.number("iterations") as usize {
        let (rz, Ap) = (dot(&r, &z), times(&A, &p));
        let curvature = dot(&p, &Ap);
        if r.iter().all(|&t| t == 0.0) {
            return (trace, "exact");
        } else if rz <= 0.0 {
            return (trace, "indefinite preconditioner");
        } else if curvature <= 0.0 {
            return (trace, "negative curvature");
        }
        add(&mut x, rz / curvature, &p);
        add(&mut r, -rz / curvature, &Ap);
        z = inverse(&r);
        let beta = dot(&r, &z) / rz;
        p.iter_mut().zip(&z).for_each(|(p, z)| *p = z + beta * *p);
        trace.extend(&x);
    }
    (trace, "iteration limit")
}

/// The reply, and a word as its `stop`; None for what is not supported.
fn answer(q: &Request) -> Option<(Reply, Option<&'static str>)> {
    let reply = match q.text("operation") {
        "nonlinearity" => {
            let at = |s: &f64| nonlinearity(q.text("nonlinearity"), *s);
            let values: Vec<_> = q.numbers("s").iter().map(at).collect::<Option<_>>()?;
            let list = |part: fn(&(f64, f64, f64)) -> f64| values.iter().map(part).collect();
            vec![("f", list(|t| t.0)), ("d", list(|t| t.1)), ("dd", list(|t| t.2))]
        }
        "loss" => {
            let (z, y, Rz, cases) = (q.numbers("z"), q.numbers("y"), q.numbers("Rz"), q.number("cases"));
            let (n, mut value, mut gradient, mut product) = (z.len() / cases as usize, 0.0, vec![], vec![]);
            for ((z, y), Rz) in z.chunks(n).zip(y.chunks(n)).zip(Rz.chunks(n)) {
                let (f, Dz, HRz) = loss(q.text("loss"), z, y, Rz);
                value += f / cases;
                gradient.extend(Dz.iter().map(|t| t / cases));
                product.extend(HRz.iter().map(|t| t / cases));
            }
            vec![("value", vec![value]), ("gradient", gradient), ("hessian_product", product)]
        }
        "gradient" | "hessian_product" | "gauss_newton_product" => network(q)?,
        "cg" => {
            let (x, stop) = cg(q);
            return Some((vec![("x", x)], Some(stop)));
        }
        "saddle" => {
            let theta = q.numbers("theta");
            let (x, y) = (theta[0], theta[1]);
            let value = x * x / 2.0 + y.powi(4) / 4.0 - y * y / 2.0;
            let hessian = vec![1.0, 0.0, 0.0, 3.0 * y * y - 1.0];
            vec![("value", vec![value]), ("gradient", vec![x, y.powi(3) - y]), ("hessian", hessian)]
        }
        _ => return None,
    };
    Some((reply, None))
}

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let q = Request(&line);
        let mut out = format!("{{\"id\":\"{}\"", q.text("id"));
        match answer(&q) {
            None => out += ",\"unsupported\":true",
            Some((reply, stop)) => {
                for (name, x) in reply {
                    let numbers: Vec<String> = x.iter().map(|t| format!("{t:e}")).collect();
                    let list = numbers.join(",");
                    out +=
                        &if name == "value" { format!(",\"{name}\":{list}") } else { format!(",\"{name}\":[{list}]") };
                }
                out += &stop.map_or(String::new(), |word| format!(",\"stop\":\"{word}\""));
            }
        }
        println!("{out}}}");
        io::stdout().flush()?;
    }
    Ok(())
}
