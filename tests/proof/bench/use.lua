-- wrk: one POST /v1/credits/use per request, a key of its own each time, a user by chance. Prints one line of JSON.
local headers = {
  ["Content-Type"] = "application/json",
  ["X-API-Key"] = os.getenv("BENCH_KEY"),
}
local users = tonumber(os.getenv("BENCH_USERS"))
local run, count = os.getenv("BENCH_RUN"), 0

function request()
  count = count + 1
  headers["Idempotency-Key"] = run .. count
  local body = string.format('{"user_id":"00000000-0000-4000-8000-%012x","amount":1}', math.random(1, users))
  return wrk.format("POST", "/v1/credits/use", headers, body)
end

function done(summary, latency, requests)
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
