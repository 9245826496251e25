/**
 * Better Auth on Lambda: its own password reset, its memory adapter with the user Ada, and links through SES v2.
 *
 * It is deployed twice: bundled and minified by esbuild as SAM does by default, and unbundled with its node_modules.
 */
import { SESv2Client, SendEmailCommand } from "@aws-sdk/client-sesv2";
import { memoryAdapter } from "@better-auth/memory-adapter";
import { betterAuth } from "better-auth/minimal";

const ses = new SESv2Client();

const now = new Date();
const ada = { id: "ada", name: "Ada", email: "ada@example.com", emailVerified: true, createdAt: now, updatedAt: now };
const credential = {
  id: "ada-credential",
  accountId: ada.id,
  providerId: "credential",
  userId: ada.id,
  // Better Auth's default hash, scrypt, of "the first password of Ada".
  password: "d45c24419e70a61ce5c80e10bd4b6bea:4722c4470c78ea6133c9ad94f7de3a790328db6aedd696b1cb544f113a5847af6dbbadfdfb1017cc42c2c0b141066221b82d14eaae32864a73c51839e895bba9",
  createdAt: now,
  updatedAt: now,
};

const auth = betterAuth({
  baseURL: "https://api.example.com",
  trustedOrigins: ["https://app.example.com"],
  database: memoryAdapter({ user: [ada], account: [credential], session: [], verification: [] }),
  emailAndPassword: { enabled: true, sendResetPassword: ({ user, url }) => sendLink(user.email, url) },
  // The default, three requests per minute and IP address, would end the measurement. Each sandbox counts anyway on its own.
  rateLimit: { enabled: false },
});

async function sendLink(address, url) {
  const text = { Data: `Choose a new password:\n\n${url}\n`, Charset: "UTF-8" };
  await ses.send(
    new SendEmailCommand({
      FromEmailAddress: process.env.MAIL_FROM,
      Destination: { ToAddresses: [address] },
      Content: { Simple: { Subject: { Data: "Reset your password", Charset: "UTF-8" }, Body: { Text: text } } },
    }),
  );
}

/** Passes an event of API Gateway's HTTP API (payload 2.0) to Better Auth as a web request. */
export async function handler(event) {
  const { domainName, http } = event.requestContext;
  const query = event.rawQueryString ? `?${event.rawQueryString}` : "";
  const body = event.body && Buffer.from(event.body, event.isBase64Encoded ? "base64" : "utf8");
  const request = new Request(`https://${domainName}${event.rawPath}${query}`, {
    method: http.method,
    headers: event.headers,
    body: body || undefined,
  });
  const response = await auth.handler(request);
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  };
}
