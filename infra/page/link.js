// Reads the link that was opened, however mail programs, gateways, and people mangled it on the way.

const PIECE = /^(?:amp;|#?(?:38|x26);)*(?:email|token)(?:=|%3d|$)/i;
const TOKEN = /^[0-9a-f]{64}(?![0-9a-f])/i;

/**
 * Returns `{ kind, email, token, url }`. The kind is "none" if the page was not opened by a link, "complete",
 * "incomplete" if the address or the token is missing, or "damaged". `url` is the address without the link's parts.
 */
export function readLink(href) {
  const found = find(href);
  const url = without(href);
  if (found.email === null && found.token === null && !/token/i.test(afterPath(href))) return { kind: "none", url: href };
  const email = found.email && mended(found.email);
  const token = found.token && found.token.trim().match(TOKEN)?.[0];
  if (found.token && !token) return { kind: "damaged", url };
  if (token && email) return { kind: "complete", email, token, url };
  return { kind: found.email === null && found.token === null ? "damaged" : "incomplete", email, url };
}

/** Looks for both parts. Where there is no token, the query may have been encoded as a whole, once or twice. */
function find(href) {
  let text = afterPath(href);
  for (let round = 0; round < 3 && !/[?#&;]token=/i.test(text); round += 1) text = decoded(text);
  const value = (name, end) => text.match(new RegExp(`[?#&;]${name}=([^${end}]*)`, "i"))?.[1] ?? null;
  const [email, token] = [value("email", "&#;"), value("token", "&#")];
  return { email: email === null ? null : decoded(email), token: token === null ? null : decoded(token) };
}

/** An address has no space: it was a plus, as forms write spaces. `%40` in one without @ was encoded twice. */
function mended(email) {
  let address = email;
  for (let round = 0; round < 2 && !address.includes("@"); round += 1) address = decoded(address);
  return address.trim().replace(/ /g, "+");
}

/** The address bar's content without the link's parts. What belongs to the page itself stays. */
function without(href) {
  const [beforeFragment, ...fragments] = href.split("#");
  const [base, ...queries] = beforeFragment.split("?");
  const query = withoutParts(queries.join("?"));
  const fragment = fragments.join("#");
  const path = /^!?\//.test(fragment) ? fragment.split("?")[0] : "";
  const rest = withoutParts(fragment.slice(path.length).replace(/^\?/, ""));
  const end = path + (path && rest ? "?" : "") + rest;
  return base + (query && `?${query}`) + (end && `#${end}`);
}

function withoutParts(text) {
  const kept = text.split("&").filter((piece) => !PIECE.test(piece)).join("&");
  // Anything that still looks like a token must not stay in the address bar.
  return /token|[0-9a-f]{64}/i.test(decoded(kept)) ? "" : kept;
}

function afterPath(href) {
  const start = href.search(/[?#]/);
  return start < 0 ? "" : href.slice(start);
}

function decoded(text) {
  try {
    return decodeURIComponent(text.replace(/\+/g, "%20"));
  } catch {
    return text; // a % that encodes nothing
  }
}
