-- For the scripts of wrk beside this file: prints one line of JSON at the end, with each kind of error by itself.
-- `status` counts answers of 400 and above; `problem` what a script itself found wrong in an answer.
function report(summary, latency, problems)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,'
      .. '"errors":{"status":%d,"problem":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, problems, errors.connect, errors.read, errors.write, errors.timeout))
end
