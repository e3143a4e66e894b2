// A second provider, by other people: oauth2-mock-server behind the /control that app.py has too.
// It takes a code any number of times, so it forgets codes itself here; it checks PKCE.
import { createServer } from 'node:http';
import { OAuth2Server } from 'oauth2-mock-server';

const inner = new OAuth2Server();
const key = await inner.issuer.keys.generate('RS256');
let orders = {};
const counts = { tokens: 0, keys: 0 };
const people = {};
const subjects = {};

inner.service.on('beforeAuthorizeRedirect', ({ url }, request) => {
  subjects[url.searchParams.get('code')] = request.query.sub;
});
inner.service.on('beforeTokenSigning', (token, request) => {
  const subject = subjects[request.body.code];
  Object.assign(token.payload, { sub: subject, ...people[subject] });
});
inner.service.on('beforeResponse', (response, request) => {
  const known = request.body.code in subjects && request.body.code_verifier;
  if (!known) Object.assign(response, { statusCode: 400, body: { error: 'invalid_grant' } });
  delete subjects[request.body.code];
  if (orders.status) response.statusCode = orders.status;
  if ('id_token' in orders && response.statusCode === 200) response.body.id_token = orders.id_token;
});

async function body(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return JSON.parse(text || '{}');
}

const server = createServer(async (request, response) => {
  const answer = (data) => response.setHeader('content-type', 'application/json').end(JSON.stringify(data));
  const path = request.url.split('?')[0];
  if (path === '/control/orders') return (orders = await body(request)), answer(counts);
  if (path === '/control/key') return answer(key);
  if (path.startsWith('/users/')) return (people[path.slice(7)] = await body(request)), response.writeHead(204).end();
  if (path === '/token') counts.tokens += 1;
  if (path === '/jwks') counts.keys += 1;
  if (path === '/token' && orders.delay) await new Promise((done) => setTimeout(done, orders.delay * 1000));
  inner.service.requestHandler(request, response);
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  inner.issuer.url = `http://127.0.0.1:${server.address().port}`;
  console.log(inner.issuer.url);
});
