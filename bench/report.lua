-- wrk calls init once, at the start: arguments behind "--" are the method and the size of the body.
function init(args)
    wrk.method = args[1] or "GET"
    local bytes = tonumber(args[2] or 0)
    if bytes > 0 then
        wrk.body = string.rep("x", bytes)
    end
end

-- wrk calls this once, at the end. One line of JSON that bench/compare reads; times in microseconds.
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'result {"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, ' ..
        '"failed": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\n',
        summary.requests, summary.duration, summary.bytes,
        latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
