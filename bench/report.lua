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
