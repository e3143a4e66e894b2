-- wrk: asks who somebody is, with a token or a cookie by chance out of the lines of BENCH_VALUES. It goes into the header
-- BENCH_HEADER of a GET, or into the body of a POST where that is empty.
dofile(os.getenv("BENCH_SCRIPTS") .. "/report.lua")
local path, header = os.getenv("BENCH_PATH"), os.getenv("BENCH_HEADER")
local requests = {}

function init(args)
  for value in io.lines(os.getenv("BENCH_VALUES")) do
    if header == "" then
      local headers = { ["Content-Type"] = "application/json", ["X-API-Key"] = os.getenv("BENCH_KEY") }
      table.insert(requests, wrk.format("POST", path, headers, '{"token":"' .. value .. '"}'))
    else
      table.insert(requests, wrk.format("GET", path, { [header] = value }))
    end
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency, requests)
  report(summary, latency, 0)
end
