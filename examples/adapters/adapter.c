/* Test vectors answered in C, without a JSON library: cc -O2 -o adapter adapter.c -lm
 *
 * nonlinearity, saddle, cg without preconditioner, and gradient, H v and G v of dense tanh networks.
 * A request is one line of compact JSON whose keys are unique and whose arrays are flat, so that to read a field is to
 * find its name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096, LAYERS = 16 };
static char line[1 << 20];

/* What stands behind "key": in the line, or NULL. */
static const char *field(const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    return at ? at + strlen(quoted) : NULL;
}

/* Whether a field is this string. */
static int is(const char *key, const char *word) {
    const char *at = field(key);
    return at && *at == '"' && strncmp(at + 1, word, strlen(word)) == 0 && at[1 + strlen(word)] == '"';
}

/* The numbers of a field, one or a list of them; how many. */
static int numbers(const char *key, double *x) {
    const char *at = field(key);
    int n = 0;
    if (!at) return 0;
    if (*at == '[') at++;
    while (*at != ']' && n < MOST) {
        char *end;
        double value = strtod(at, &end);
        if (end == at) break;
        x[n++] = value;
        if (*end != ',' || at == field(key)) break; /* a single number is no list */
        at = end + 1;
    }
    return n;
}

static double number(const char *key) {
    double x[MOST];
    return numbers(key, x) ? x[0] : 0.0;
}

static void list(const char *key, const double *x, int n) {
    printf(",\"%s\":[", key);
    for (int i = 0; i < n; i++) printf(i ? ",%.17g" : "%.17g", x[i]);
    printf("]");
}

static double dot(const double *x, const double *y, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static double logistic(double s) { return s > 0 ? 1 / (1 + exp(-s)) : exp(s) / (1 + exp(s)); }

static int nonlinearity(void) {
    static double s[MOST], f[MOST], d[MOST], dd[MOST];
    int n = numbers("s", s);
    for (int i = 0; i < n; i++) {
        double p = logistic(s[i]), q = logistic(-s[i]), t = tanh(s[i]);
        if (is("nonlinearity", "tanh")) f[i] = t, d[i] = 1 - t * t, dd[i] = -2 * t * (1 - t * t);
        else if (is("nonlinearity", "logistic")) f[i] = p, d[i] = p * q, dd[i] = -p * q * tanh(s[i] / 2);
        else if (is("nonlinearity", "softplus")) f[i] = fmax(s[i], 0) + log1p(exp(-fabs(s[i]))), d[i] = p, dd[i] = p * q;
        else if (is("nonlinearity", "relu")) f[i] = fmax(s[i], 0), d[i] = s[i] > 0, dd[i] = 0;
        else if (is("nonlinearity", "identity")) f[i] = s[i], d[i] = 1, dd[i] = 0;
        else return 0;
    }
    list("f", f, n), list("d", d, n), list("dd", dd, n);
    return 1;
}

static int saddle(void) {
    double t[MOST];
    numbers("theta", t);
    double x = t[0], y = t[1], gradient[] = {x, y * y * y - y}, hessian[] = {1, 0, 0, 3 * y * y - 1};
    printf(",\"value\":%.17g", x * x / 2 + y * y * y * y / 4 - y * y / 2);
    list("gradient", gradient, 2), list("hessian", hessian, 4);
    return 1;
}

static int cg(void) {
    static double A[MOST], b[MOST], x[MOST], r[MOST], p[MOST], Ap[MOST], trace[MOST];
    if (field("M")) return 0;
    int n = numbers("b", b), iterations = (int)number("iterations"), k = 0;
    const char *stop = "iteration limit";
    numbers("A", A), numbers("x0", x);
    for (int i = 0; i < n; i++) r[i] = p[i] = b[i] - dot(A + i * n, x, n);
    memcpy(trace, x, n * sizeof *x);
    for (; k < iterations; k++) {
        double rr = dot(r, r, n);
        if (rr == 0) { stop = "exact"; break; }
        for (int i = 0; i < n; i++) Ap[i] = dot(A + i * n, p, n);
        double curvature = dot(p, Ap, n);
        if (curvature <= 0) { stop = "negative curvature"; break; }
        for (int i = 0; i < n; i++) x[i] += rr / curvature * p[i], r[i] -= rr / curvature * Ap[i];
        double beta = dot(r, r, n) / rr;
        for (int i = 0; i < n; i++) p[i] = r[i] + beta * p[i];
        memcpy(trace + (k + 1) * n, x, n * sizeof *x);
    }
    list("x", trace, (k + 1) * n);
    printf(",\"stop\":\"%s\"", stop);
    return 1;
}

/* z, its gradient Dz and H_L Rz of one case; the loss. */
static double loss(const double *z, const double *y, const double *Rz, int n, double *Dz, double *HRz) {
    double value = 0, largest = z[0], total = 0, inside = 0;
    if (is("loss", "squared_error")) {
        for (int j = 0; j < n; j++) Dz[j] = z[j] - y[j], HRz[j] = Rz[j], value += Dz[j] * Dz[j] / 2;
        return value;
    }
    if (is("loss", "logistic_cross_entropy")) {
        for (int j = 0; j < n; j++) {
            double p = logistic(z[j]);
            Dz[j] = p - y[j], HRz[j] = p * logistic(-z[j]) * Rz[j];
            value += fmax(z[j], 0) + log1p(exp(-fabs(z[j]))) - y[j] * z[j];
        }
        return value;
    }
    for (int j = 0; j < n; j++) largest = fmax(largest, z[j]);
    for (int j = 0; j < n; j++) total += exp(z[j] - largest);
    for (int j = 0; j < n; j++) inside += exp(z[j] - largest) / total * Rz[j];
    for (int j = 0; j < n; j++) {
        double p = exp(z[j] - largest) / total;
        Dz[j] = p - y[j], HRz[j] = p * (Rz[j] - inside);
        value -= y[j] * (z[j] - largest - log(total));
    }
    return value;
}

/* The four sweeps, a case at a time: f, its gradient g, and H v, or G v without the residual's part. */
static int network(void) {
    static double theta[MOST], v[MOST], X[MOST], y[MOST], g[MOST], Hv[MOST], size[MOST];
    static double a[LAYERS][MOST], Ra[LAYERS][MOST], Ds[MOST], RDs[MOST], Da[MOST], RDa[MOST];
    int layers = numbers("sizes", size) - 1, cases = (int)number("cases"), at[LAYERS] = {0};
    int gauss_newton = is("operation", "gauss_newton_product");
    if (layers < 1 || layers >= LAYERS || (layers > 1 && !is("nonlinearity", "tanh"))) return 0;
    int P = numbers("theta", theta), inputs = (int)size[0], out = (int)size[layers];
    double l2 = number("l2"), f = l2 / 2 * dot(theta, theta, P);
    numbers("v", v), numbers("X", X), numbers("y", y);
    for (int i = 0; i < P; i++) g[i] = l2 * theta[i], Hv[i] = l2 * v[i];
    for (int l = 0; l < layers; l++) at[l + 1] = at[l] + (int)((size[l] + 1) * size[l + 1]);
    for (int k = 0; k < cases; k++) {
        memcpy(a[0], X + k * inputs, inputs * sizeof *X);
        memset(Ra[0], 0, inputs * sizeof *X);
        for (int l = 0; l < layers; l++) {
            int m = (int)size[l], n = (int)size[l + 1];
            const double *W = theta + at[l], *V = v + at[l];
            for (int j = 0; j < n; j++) {
                double s = W[m * n + j], Rs = V[m * n + j];
                for (int i = 0; i < m; i++) s += a[l][i] * W[i * n + j], Rs += a[l][i] * V[i * n + j] + Ra[l][i] * W[i * n + j];
                a[l + 1][j] = l < layers - 1 ? tanh(s) : s;
                Ra[l + 1][j] = l < layers - 1 ? (1 - a[l + 1][j] * a[l + 1][j]) * Rs : Rs;
            }
        }
        f += loss(a[layers], y + k * out, Ra[layers], out, Ds, RDs) / cases;
        if (gauss_newton) memset(Ds, 0, out * sizeof *Ds);
        for (int l = layers - 1; l >= 0; l--) {
            int m = (int)size[l], n = (int)size[l + 1];
            const double *W = theta + at[l], *V = v + at[l];
            for (int i = 0; i < m; i++) {
                Da[i] = RDa[i] = 0;
                for (int j = 0; j < n; j++) {
                    g[at[l] + i * n + j] += a[l][i] * Ds[j] / cases;
                    Hv[at[l] + i * n + j] += (a[l][i] * RDs[j] + Ra[l][i] * Ds[j]) / cases;
                    Da[i] += W[i * n + j] * Ds[j], RDa[i] += W[i * n + j] * RDs[j] + V[i * n + j] * Ds[j];
                }
            }
            for (int j = 0; j < n; j++) g[at[l] + m * n + j] += Ds[j] / cases, Hv[at[l] + m * n + j] += RDs[j] / cases;
            for (int i = 0; i < m; i++) {
                double slope = 1 - a[l][i] * a[l][i];
                Ds[i] = Da[i] * slope, RDs[i] = RDa[i] * slope - 2 * a[l][i] * Ra[l][i] * Da[i];
            }
        }
    }
    if (is("operation", "gradient")) printf(",\"value\":%.17g", f), list("gradient", g, P);
    else list("product", Hv, P);
    return 1;
}

int main(void) {
    while (fgets(line, sizeof line, stdin)) {
        const char *id = field("id");
        printf("{\"id\":%.*s", id ? (int)(strchr(id + 1, '"') - id + 1) : 2, id ? id : "\"\"");
        int known = is("operation", "nonlinearity") ? nonlinearity()
                  : is("operation", "saddle")       ? saddle()
                  : is("operation", "cg")           ? cg()
                  : (is("operation", "gradient") || is("operation", "hessian_product") ||
                     is("operation", "gauss_newton_product")) ? network() : 0;
        puts(known ? "}" : ",\"unsupported\":true}");
        fflush(stdout);
    }
    return 0;
}
