// Reads the link that the user opened, and repairs the damage that email programs, gateways, and users cause.

const LINK_PART = /^(?:amp;|#?(?:38|x26);)*(?:email|token)(?:=|%3d|$)/i;
const TOKEN = /^[0-9a-f]{64}(?![0-9a-f])/i;

/**
 * Returns `{ kind, email, token, url }`. The kind is "none" if the page was not opened by a link, "complete",
 * "incomplete" if the email address or the token is missing, or "damaged". `url` is `href` without the link's parts.
 */
export function readLink(href) {
  const parts = findParts(href);
  const url = cleanUrl(href);
  if (parts.email === null && parts.token === null && !/token/i.test(afterPath(href))) return { kind: "none", url: href };
  const email = parts.email && repairAddress(parts.email);
  const token = parts.token && parts.token.trim().match(TOKEN)?.[0];
  if (parts.token && !token) return { kind: "damaged", url };
  if (token && email) return { kind: "complete", email, token, url };
  return { kind: parts.email === null && parts.token === null ? "damaged" : "incomplete", email, url };
}

/** Finds both parts. If there is no token, the query may have been encoded as a whole, once or twice. */
function findParts(href) {
  let text = afterPath(href);
  for (let round = 0; round < 3 && !/[?#&;]token=/i.test(text); round += 1) text = decode(text);
  const value = (name, end) => text.match(new RegExp(`[?#&;]${name}=([^${end}]*)`, "i"))?.[1] ?? null;
  const [email, token] = [value("email", "&#;"), value("token", "&#")];
  return { email: email === null ? null : decode(email), token: token === null ? null : decode(token) };
}

/** Repairs an email address. Decoding turned a plus into a space, and `%40` without an @ was encoded twice. */
function repairAddress(email) {
  let address = email;
  for (let round = 0; round < 2 && !address.includes("@"); round += 1) address = decode(address);
  return address.trim().replace(/ /g, "+");
}

/** Removes the link's parts from a URL, and keeps the page's own parts. */
function cleanUrl(href) {
  const [beforeFragment, ...fragments] = href.split("#");
  const [base, ...queries] = beforeFragment.split("?");
  const query = removeParts(queries.join("?"));
  const fragment = fragments.join("#");
  const path = /^!?\//.test(fragment) ? fragment.split("?")[0] : "";
  const rest = removeParts(fragment.slice(path.length).replace(/^\?/, ""));
  const end = path + (path && rest ? "?" : "") + rest;
  return base + (query && `?${query}`) + (end && `#${end}`);
}

function removeParts(text) {
  const kept = text.split("&").filter((piece) => !LINK_PART.test(piece)).join("&");
  // Anything that still looks like a token must not stay in the address bar.
  return /token|[0-9a-f]{64}/i.test(decode(kept)) ? "" : kept;
}

function afterPath(href) {
  const start = href.search(/[?#]/);
  return start < 0 ? "" : href.slice(start);
}

function decode(text) {
  try {
    return decodeURIComponent(text.replace(/\+/g, "%20"));
  } catch {
    return text; // invalid percent-encoding
  }
}
