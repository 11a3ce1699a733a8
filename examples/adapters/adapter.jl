# Test vectors answered in Julia 1.7 or later, without packages; not run yet: nonlinearities, losses, saddle, CG, and the
# gradient, H v and G v of dense networks.   refhf vectors --adapter "julia --startup-file=no examples/adapters/adapter.jl"
#
# A request is one line of compact JSON whose keys are unique and whose lists are flat, so that to read a field is to
# find its name. Julia's arrays are in column order: a list in C order is read as the transpose.

text(q, key) = (found = match(Regex("\"$key\":\"([^\"]*)\""), q); found === nothing ? "" : String(found[1]))

# A list of numbers, or one number as a list of it; empty where the key is missing.
function numbers(q, key)
    found = match(Regex("\"$key\":(?:\\[([^\\]]*)\\]|([^,}]*))"), q)
    found === nothing && return Float64[]
    inside = found[1] === nothing ? found[2] : found[1]
    [parse(Float64, word) for word in split(inside, ','; keepempty=false)]
end

number(q, key) = numbers(q, key)[1]
whole(q, key) = Int(number(q, key))

# A list in C order as a matrix of m rows, and back.
rows(list, m) = permutedims(reshape(list, :, m))
flat(A) = vec(permutedims(A))

logistic(s) = 1 / (1 + exp(-s))
softplus(s) = max(s, 0.0) + log1p(exp(-abs(s)))
bump(s) = logistic(s) * logistic(-s)  # p (1 - p), without cancellation

# f, f' and f'' at s.
const NONLINEARITIES = Dict(
    "tanh" => s -> (tanh(s), 1 / cosh(s)^2, -2 * tanh(s) / cosh(s)^2),
    "logistic" => s -> (logistic(s), bump(s), -bump(s) * tanh(s / 2)),
    "softplus" => s -> (softplus(s), logistic(s), bump(s)),
    "relu" => s -> (max(s, 0.0), Float64(s > 0), 0.0),
    "identity" => s -> (s, 1.0, 0.0),
)

# f, f' and f'' of an array.
function at(name, s)
    values = NONLINEARITIES[name].(s)
    getindex.(values, 1), getindex.(values, 2), getindex.(values, 3)
end

# Loss, its gradient with respect to z and H_L Rz: means over the cases, which are the rows.
function loss(name, z, y, Rz)
    B = size(z, 1)
    if name == "squared_error"
        value, Dz, HRz = sum(abs2, z - y) / 2, z - y, Rz
    elseif name == "logistic_cross_entropy"
        value = sum(softplus.(z) .- y .* z)
        Dz, HRz = (1 .- y) .* logistic.(z) .- y .* logistic.(-z), bump.(z) .* Rz
    else
        shifted = z .- maximum(z; dims=2)
        total = sum(exp.(shifted); dims=2)
        p = exp.(shifted) ./ total
        value = -sum(y .* (shifted .- log.(total)))
        Dz, HRz = p - y, p .* (Rz .- sum(p .* Rz; dims=2))
    end
    value / B, Dz / B, HRz / B
end

# The four sweeps: value, gradient, and H v, or G v if without the residual's part.
function sweeps(q)
    sizes, theta, l2, B = Int.(numbers(q, "sizes")), numbers(q, "theta"), number(q, "l2"), whole(q, "cases")
    v = occursin("\"v\":", q) ? numbers(q, "v") : zero(theta)
    a, place, tape = rows(numbers(q, "X"), B), 0, []
    Ra = zero(a)
    for l in 1:length(sizes)-1
        m, n = sizes[l], sizes[l+1]
        w, b = place .+ (1:m*n), place + m * n .+ (1:n)
        place += (m + 1) * n
        W, V = rows(theta[w], m), rows(v[w], m)
        s = a * W .+ theta[b]'
        Rs = a * V + Ra * W .+ v[b]'
        f, d, dd = at(l < length(sizes) - 1 ? text(q, "nonlinearity") : "identity", s)
        push!(tape, (; a, Ra, W, V, d, dd, Rs))
        a, Ra = f, d .* Rs
    end
    value, Da, RDa = loss(text(q, "loss"), a, rows(numbers(q, "y"), B), Ra)
    if text(q, "operation") == "gauss_newton_product"
        Da = zero(Da)
    end
    g, Hv = Float64[], Float64[]
    for layer in reverse(tape)
        (; a, Ra, W, V, d, dd, Rs) = layer
        Ds, RDs = d .* Da, d .* RDa + dd .* Rs .* Da
        g = [flat(a' * Ds); vec(sum(Ds; dims=1)); g]
        Hv = [flat(a' * RDs + Ra' * Ds); vec(sum(RDs; dims=1)); Hv]
        Da, RDa = Ds * W', RDs * W' + Ds * V'
    end
    value + l2 / 2 * sum(abs2, theta), g + l2 * theta, Hv + l2 * v
end

function cg(q)
    b, x = numbers(q, "b"), numbers(q, "x0")
    A, M = rows(numbers(q, "A"), length(b)), numbers(q, "M")
    inverse(r) = isempty(M) ? copy(r) : rows(M, length(b)) * r
    dot(x, y) = sum(x .* y)
    r = b - A * x
    z = inverse(r)
    p, trace = copy(z), copy(x)
    for _ in 1:whole(q, "iterations")
        rz, Ap = dot(r, z), A * p
        all(iszero, r) && return (trace, "exact")
        rz <= 0 && return (trace, "indefinite preconditioner")
        dot(p, Ap) <= 0 && return (trace, "negative curvature")
        alpha = rz / dot(p, Ap)
        x += alpha * p
        r -= alpha * Ap
        z = inverse(r)
        p = z + dot(r, z) / rz * p
        append!(trace, x)
    end
    trace, "iteration limit"
end

# Names and values: a text, a list, or a number; nothing for what is not supported.
function answer(q)
    operation, kind = text(q, "operation"), text(q, "nonlinearity")
    kind == "" || haskey(NONLINEARITIES, kind) || return nothing
    if operation == "nonlinearity"
        f, d, dd = at(kind, numbers(q, "s"))
        return ["f" => f, "d" => d, "dd" => dd]
    elseif operation == "loss"
        B = whole(q, "cases")
        value, Dz, HRz = loss(text(q, "loss"), (rows(numbers(q, key), B) for key in ("z", "y", "Rz"))...)
        return ["value" => value, "gradient" => flat(Dz), "hessian_product" => flat(HRz)]
    elseif operation in ("gradient", "hessian_product", "gauss_newton_product") && occursin("\"sizes\":", q)
        value, g, Hv = sweeps(q)
        return operation == "gradient" ? ["value" => value, "gradient" => g] : ["product" => Hv]
    elseif operation == "cg"
        x, stop = cg(q)
        return ["x" => x, "stop" => stop]
    elseif operation == "saddle"
        x, y = numbers(q, "theta")
        return ["value" => x^2 / 2 + y^4 / 4 - y^2 / 2, "gradient" => [x, y^3 - y], "hessian" => [1, 0, 0, 3y^2 - 1]]
    end
    nothing
end

shown(x::AbstractString) = "\"$x\""
shown(x::Real) = string(Float64(x))
shown(x) = "[" * join(shown.(x), ",") * "]"

for q in eachline(stdin)
    reply = answer(q)
    parts = reply === nothing ? ["\"unsupported\":true"] : ["\"$name\":$(shown(value))" for (name, value) in reply]
    println("{\"id\":\"", text(q, "id"), "\",", join(parts, ","), "}")
    flush(stdout)
end
