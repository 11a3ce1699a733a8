% Test vectors answered in GNU Octave 7 or later, without packages: nonlinearities, losses, saddle, CG, and the
% gradient, H v and G v of dense networks.   refhf vectors --adapter "octave-cli -q examples/adapters/octave_adapter.m"
1;  % a file of functions and commands

function [f, d, dd] = nonlinearity(name, s)
  p = 1 ./ (1 + exp(-s));
  n = 1 ./ (1 + exp(s));  % 1 - p, without cancellation
  switch name
    case "tanh",     f = tanh(s); d = 1 ./ cosh(s) .^ 2; dd = -2 * f .* d;
    case "logistic", f = p; d = p .* n; dd = -d .* tanh(s / 2);
    case "softplus", f = max(s, 0) + log1p(exp(-abs(s))); d = p; dd = p .* n;
    case "relu",     f = max(s, 0); d = double(s > 0); dd = 0 * s;
    case "identity", f = s; d = 1 + 0 * s; dd = 0 * s;
  end
end

% Loss, its gradient with respect to z and H_L Rz: means over the cases, which are the rows.
function [value, Dz, HRz] = loss(name, z, y, Rz)
  B = rows(z);
  switch name
    case "squared_error"
      Dz = z - y; HRz = Rz; value = sum(Dz(:) .^ 2) / 2;
    case "logistic_cross_entropy"
      p = 1 ./ (1 + exp(-z));
      n = 1 ./ (1 + exp(z));
      Dz = (1 - y) .* p - y .* n; HRz = p .* n .* Rz;
      value = sum((max(z, 0) + log1p(exp(-abs(z))) - y .* z)(:));
    case "softmax_cross_entropy"
      shifted = z - max(z, [], 2);
      p = exp(shifted) ./ sum(exp(shifted), 2);
      Dz = p - y; HRz = p .* (Rz - sum(p .* Rz, 2));
      value = -sum((y .* (shifted - log(sum(exp(shifted), 2))))(:));
  end
  value /= B; Dz /= B; HRz /= B;
end

% A list in C order as a matrix, and back.
function A = matrix(list, m), A = reshape(list, [], m)'; end
function list = flat(A), list = A'(:); end

% The four sweeps: value, gradient, and H v, or G v if without the residual's part.
function [value, g, Hv] = sweeps(q)
  theta = q.theta; v = 0 * theta; at = 0; L = numel(q.sizes) - 1;
  if isfield(q, "v"), v = q.v; end
  a{1} = matrix(q.X, q.cases); Ra{1} = 0 * a{1};
  for l = 1:L
    m = q.sizes(l); n = q.sizes(l + 1); w = at + (1:m * n); b = at + m * n + (1:n); at += (m + 1) * n;
    W{l} = matrix(theta(w), m); V{l} = matrix(v(w), m);
    s = a{l} * W{l} + theta(b)';
    Rs{l} = a{l} * V{l} + Ra{l} * W{l} + v(b)';
    kind = q.nonlinearity;
    if l == L, kind = "identity"; end
    [a{l + 1}, d{l}, dd{l}] = nonlinearity(kind, s);
    Ra{l + 1} = d{l} .* Rs{l};
  end
  [value, Da, RDa] = loss(q.loss, a{L + 1}, matrix(q.y, q.cases), Ra{L + 1});
  if strcmp(q.operation, "gauss_newton_product"), Da = 0 * Da; end
  g = Hv = [];
  for l = L:-1:1
    Ds = d{l} .* Da; RDs = d{l} .* RDa + dd{l} .* Rs{l} .* Da;
    g = [flat(a{l}' * Ds); sum(Ds, 1)'; g];
    Hv = [flat(a{l}' * RDs + Ra{l}' * Ds); sum(RDs, 1)'; Hv];
    Da = Ds * W{l}'; RDa = RDs * W{l}' + Ds * V{l}';
  end
  value += q.l2 / 2 * theta' * theta; g += q.l2 * theta; Hv += q.l2 * v;
end

function reply = cg(q)
  n = numel(q.b); A = matrix(q.A, n); M = eye(n);
  if isfield(q, "M"), M = matrix(q.M, n); end
  x = q.x0; r = q.b - A * x; z = p = M * r; trace = x; stop = "iteration limit";
  for k = 1:q.iterations
    rz = r' * z; Ap = A * p;
    if all(r == 0), stop = "exact"; break, end
    if rz <= 0, stop = "indefinite preconditioner"; break, end
    if p' * Ap <= 0, stop = "negative curvature"; break, end
    alpha = rz / (p' * Ap);
    x += alpha * p; r -= alpha * Ap; z = M * r; p = z + r' * z / rz * p;
    trace = [trace; x];
  end
  reply = {"x", trace, "stop", stop};
end

% Names and values: a text, a column for a list, or a number for "value".
function reply = answer(q)
  reply = {};
  known = {"tanh", "logistic", "softplus", "relu", "identity"};
  if isfield(q, "nonlinearity") && ! any(strcmp(q.nonlinearity, known)), return, end
  switch q.operation
    case "nonlinearity"
      [f, d, dd] = nonlinearity(q.nonlinearity, q.s);
      reply = {"f", f, "d", d, "dd", dd};
    case "loss"
      [value, Dz, HRz] = loss(q.loss, matrix(q.z, q.cases), matrix(q.y, q.cases), matrix(q.Rz, q.cases));
      reply = {"value", value, "gradient", flat(Dz), "hessian_product", flat(HRz)};
    case {"gradient", "hessian_product", "gauss_newton_product"}
      if ! isfield(q, "sizes"), return, end
      [value, g, Hv] = sweeps(q);
      reply = {"product", Hv};
      if strcmp(q.operation, "gradient"), reply = {"value", value, "gradient", g}; end
    case "cg"
      reply = cg(q);
    case "saddle"
      x = q.theta(1); y = q.theta(2);
      reply = {"value", x ^ 2 / 2 + y ^ 4 / 4 - y ^ 2 / 2, "gradient", [x; y ^ 3 - y], "hessian", [1; 0; 0; 3 * y ^ 2 - 1]};
  end
end

while true
  try
    line = input("", "s");  % not fgetl: it looks for the end of the file, and so waits for the next request
  catch
    break
  end
  q = jsondecode(line);
  reply = answer(q);
  printf('{"id":"%s"', q.id);
  for k = 1:2:numel(reply)
    printf(',"%s":', reply{k});
    numbers = strjoin(arrayfun(@(x) sprintf("%.17g", x), reply{k + 1}(:)', "UniformOutput", false), ",");
    if ischar(reply{k + 1}), printf('"%s"', reply{k + 1});
    elseif strcmp(reply{k}, "value"), printf("%s", numbers);
    else printf("[%s]", numbers);
    end
  end
  if isempty(reply), printf(',"unsupported":true'); end
  printf("}\n");
  fflush(stdout);
end
