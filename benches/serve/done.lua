-- What is told of a run: requests, microseconds, bytes, errors. Stands behind each of the scripts.
function done(summary)
  local errors = summary.errors
  io.write(string.format("result %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
