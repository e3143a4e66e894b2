-- wrk: one POST /v1/credits/batch of 1,000 uses per request, each with a key of its own, over the users in turn. Each
-- thread has users of its own: the second those behind the first's, and so on.
-- An operation that was refused has a problem in its result.
dofile(os.getenv("BENCH_SCRIPTS") .. "/report.lua")
local headers = {
  ["Content-Type"] = "application/json",
  ["X-API-Key"] = os.getenv("BENCH_KEY"),
}
local users = tonumber(os.getenv("BENCH_USERS"))
local run, count = os.getenv("BENCH_RUN"), 0
local operation = '{"op":"use","idempotency_key":"%s","user_id":"00000000-0000-4000-8000-%012x","amount":1}'
local threads = {}

function setup(thread)
  thread:set("first", #threads * users)
  thread:set("problems", 0)
  table.insert(threads, thread)
end

function request()
  local operations = {}
  for n = 1, 1000 do
    count = count + 1
    operations[n] = string.format(operation, run .. count, first + count % users + 1)
  end
  return wrk.format("POST", "/v1/credits/batch", headers, '{"operations":[' .. table.concat(operations, ",") .. ']}')
end

function response(status, headers, body)
  if string.find(body, '"problem"', 1, true) then
    problems = problems + 1
  end
end

function done(summary, latency, requests)
  local found = 0
  for _, thread in ipairs(threads) do
    found = found + thread:get("problems")
  end
  report(summary, latency, found)
end
