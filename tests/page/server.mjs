// Serves infra/page with the headers that index.html requires, and a fake API that responds like Rekey's.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";

const PAGE = new URL("../../infra/page/", import.meta.url);
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" };

/** The token of a valid link. The fake API rejects every other token. */
export const TOKEN = "0123456789abcdef".repeat(4);

/** Starts a server. `requests` collects the path and the body of each call to the API. */
export async function serve() {
  const requests = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    try {
      if (request.method === "POST") return await respond(pathname, await bodyOf(request), requests, response);
      await send(pathname, response);
    } catch (error) {
      response.writeHead(404).end(String(error));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://localhost:${server.address().port}/`;
  server.config = { product: "Example App", logo: null, api: "", resetUrl: url, signIn: "/sign-in", minLength: 8,
    linkMinutes: 60 };
  return { url, requests, close: () => { server.closeAllConnections(); server.close(); } };

  async function send(pathname, response) {
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    const content = name === "config.js"
      ? `export const config = ${JSON.stringify(server.config)};`
      : name === "sign-in" ? "<!doctype html><title>Sign in</title>" : await readFile(new URL(name, PAGE));
    response.writeHead(200, {
      "Content-Type": TYPES[extname(name)] ?? TYPES[".html"],
      "Cache-Control": "no-store",
      "Referrer-Policy": "no-referrer",
      "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    }).end(content);
  }
}

/** Responds to a call. A test selects the response with the email address or the password it sends. */
async function respond(pathname, body, requests, response) {
  requests.push({ pathname, ...body });
  const scenario = pathname === "/password/forgot" ? body.email.split("@")[0] : body.password;
  const invalid = (codes, parameters) => [422, { errors: {}, codes, parameters }];
  const responses = {
    "too-many": [429, {}, { "Retry-After": "120" }],
    "unavailable": [503, {}, { "Retry-After": "2" }],
    "server-error": [500, {}],
    "misconfigured": [422, { errors: { reset_url: ["must be one of the allowed reset URLs"] },
      codes: { reset_url: ["not_allowed"] } }],
    "malformed": invalid({ email: ["not_an_address"] }),
    "a leaked password": invalid({ password: ["leaked"] }),
    "a long password": invalid({ password: ["too_long"] }, { password: { max_length: 256 } }),
    "a password of 73 bytes": invalid({ password: ["too_long"] }, { password: { max_bytes: 72 } }),
    "a directory's short password": invalid({ password: ["too_short"] }),
    "a directory's long password": invalid({ password: ["too_long"] }),
    "a former password": invalid({ password: ["used_before"] }),
    "a password with NUL": invalid({ password: ["not_allowed"] }),
    "a busy password": [429, {}, { "Retry-After": "120" }],
    "an unlucky password": [503, {}, { "Retry-After": "2" }],
  };
  if (scenario === "silence" || scenario === "a silent password") return response.destroy();
  const [status, content, headers] = responses[scenario]
    ?? (pathname === "/password/forgot" ? [202, { cooldown_seconds: scenario === "impatient" ? 1 : 60 }]
      : body.token.toLowerCase() === TOKEN ? [204, null] : invalid({ token: ["bad_token"] }));
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(content ? JSON.stringify(content) : undefined);
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
}
