-- wrk: one POST /v1/credits/use per request, a key of its own each time, a user by chance. With BENCH_REFUSED=10 each
-- tenth asks for more than anybody has.
dofile(os.getenv("BENCH_SCRIPTS") .. "/report.lua")
local headers = {
  ["Content-Type"] = "application/json",
  ["X-API-Key"] = os.getenv("BENCH_KEY"),
}
local users, refused = tonumber(os.getenv("BENCH_USERS")), tonumber(os.getenv("BENCH_REFUSED"))
local run, count = os.getenv("BENCH_RUN"), 0
local form = '{"user_id":"00000000-0000-4000-8000-%012x","amount":%s}'

function request()
  count = count + 1
  headers["Idempotency-Key"] = run .. count
  local amount = refused > 0 and count % refused == 0 and "1000000000000" or "1"
  return wrk.format("POST", "/v1/credits/use", headers, string.format(form, math.random(1, users), amount))
end

function done(summary, latency, requests)
  report(summary, latency, 0)
end
