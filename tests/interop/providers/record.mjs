// Records, as data, what the official better-auth does for every OAuth provider and for genericOAuth's presets.
// How to run it: npm ci && node record.mjs > ../../vectors/providers.json
//
// Time stands still at NOW and every HTTP request is answered from a table. How to read the result:
//   null in options or input   not given                    {returns: X} in options   a function that returns X
//   {jwt: claims}              a JWT that the key "key-1" signed with RS256 (header and key may say otherwise)
//   {jwks: [kid]}              an answer with these public keys, to a request for keys and to no other
//   {fails: true}              an answer that never comes: the connection breaks
//   when                       changes of a scenario, one at a time, that all lead to this. `set`: at a JSON pointer
//                              each of these values; `removed`: what is at the pointer is not there; `together`:
//                              lists of [pointer, value] and [pointer] that are done at once
//   data: "/answers/0/body"    the profile handed on is that very value of the scenario; {at, set}: with this set in it
// A case says only what differs from `plain`: `user` has the changed fields, `without` the fields that are gone,
// `requests: n` that only the first n were made. `variations` names the changes of options and input; what most
// providers make of one is in `common`, and a provider has what it does otherwise: {} for no change at all, `set` and
// `gone` for parameters of the URL or the form, `at` another endpoint, `request` its other changed parts, `throws`.
// What is missing in a result is undefined in JavaScript; null is null.

import { constants, createHmac, createSign, generateKeyPairSync } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

const NOW = Date.UTC(2026, 0, 1);
const SECONDS = NOW / 1000;
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length ? given : [NOW]));
  }
  static now() {
    return NOW;
  }
};
for (const level of ["debug", "error", "info", "log", "warn"]) console[level] = () => {};

let answers = [];
let requests = [];
globalThis.fetch = async (url, init = {}) => {
  requests.push(request(url, init));
  if (!answers.length) throw process.stderr.write(`no answer for ${url}\n`) && new Error("no answer");
  if (answers[0].jwks && !/keys|certs|jwks/.test(url)) answers.shift();
  return response(answers.shift());
};

const { socialProviders } = await import("@better-auth/core/social-providers");
const { supportsIdTokenSignIn, verifyProviderIdToken } = await import("@better-auth/core/oauth2");
const generic = await import("better-auth/plugins/generic-oauth");
const { resolveOAuthAccountKey } = await import(new URL("oauth2/account-key.mjs", import.meta.resolve("better-auth")));

// ---------------------------------------------------------------- tokens, requests and answers

const KEYS = { "key-1": rsa(), other: rsa() };

function rsa() {
  return generateKeyPairSync("rsa", { modulusLength: 2048 });
}

function sign({ jwt, header, key = "key-1" }) {
  const head = compact({ alg: "RS256", kid: "key-1", typ: "JWT", ...header });
  const text = [head, jwt].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  const { privateKey, publicKey } = KEYS[key];
  const pem = publicKey.export({ format: "pem", type: "spki" });
  if (head.alg === "none") return `${text}.`;
  if (head.alg.startsWith("HS")) return `${text}.${createHmac("sha256", pem).update(text).digest("base64url")}`;
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const how = head.alg.startsWith("PS") ? { key: privateKey, ...pss } : privateKey;
  return `${text}.${createSign(`SHA${head.alg.slice(2)}`)
    .update(text)
    .sign(how, "base64url")}`;
}

function jwk(kid, extra) {
  const key = (KEYS[kid] ?? KEYS["key-1"]).publicKey.export({ format: "jwk" });
  return compact({ ...key, kid, alg: "RS256", use: "sig", ...extra });
}

function compact(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

function response(answer) {
  if (answer.fails) throw new TypeError("fetch failed");
  const body = answer.jwks ? { keys: answer.jwks.map((kid) => jwk(kid, answer.jwk)) } : answer.body;
  const bytes = answer.base64 && Buffer.from(answer.base64, "base64");
  const headers = { "content-type": answer.type ?? "application/json", ...answer.headers };
  return new Response(bytes ?? answer.text ?? JSON.stringify(body), { status: answer.status ?? 200, headers });
}

function request(url, { body, headers, method = "GET", redirect }) {
  const sent = Object.fromEntries(new Headers(headers));
  if (sent["user-agent"]?.startsWith("jose/")) delete sent["user-agent"];
  const form = sent["content-type"]?.startsWith("application/x-www-form-urlencoded");
  const content = body == null ? {} : form ? { form: [...new URLSearchParams(String(body))] } : { json: parsed(body) };
  return { method, url: String(url), headers: sent, ...content, ...(redirect && { redirect }) };
}

function parsed(body) {
  return JSON.parse(body, (key, value) => (typeof value === "string" ? value.replace(/\s+/g, " ").trim() : value));
}

// ---------------------------------------------------------------- running one thing

let mapped = [];

/** What a table says, as the providers want it: functions, signed tokens, nothing that is not given. */
function real(value) {
  if (Array.isArray(value)) return value.map(real);
  if (!value || typeof value !== "object") return value;
  if ("jwt" in value) return sign(value);
  if ("returns" in value) return (...given) => (mapped.push(given), value.returns);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== null)
      .map(([k, v]) => [k, real(v)]),
  );
}

function plain(value) {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

/** What came of it (`result`, or what it throws) and the requests made on the way. */
async function attempt(run, replies = []) {
  [answers, requests] = [structuredClone(replies), []];
  try {
    return { result: plain(await run()) ?? null, requests };
  } catch (error) {
    return { throws: reason(error), requests };
  }
}

function reason(error) {
  if (!(error instanceof Error)) return plain(error) ?? String(error);
  if (error instanceof TypeError && error.message !== "fetch failed") return "TypeError";
  return error.message.replace(/"https?:[^"]*"/, '"<url>"');
}

const VARIATIONS = {};

/** Runs the plain case and every variation of it: what the plain one is, and what each makes of it. */
async function vary(run, variations) {
  const base = await run({}, {});
  const cases = {};
  for (const [options, input = {}] of variations) {
    const name = label(options, input);
    VARIATIONS[name] = { options, input };
    cases[name] = changed(await run(options, input), base);
  }
  return { ...base, cases };
}

function label(options, input) {
  const shown = (value) => (value && value.constructor === Object ? (value.method ?? Object.keys(value)) : value);
  const named = (parts, prefix) => Object.entries(parts).map(([key, value]) => `${prefix}${key}=${shown(value)}`);
  return [...named(options, ""), ...named(input, "input.")].join(" ");
}

function changed(got, base) {
  if (isDeepStrictEqual(got, base)) return {};
  if (got.url && base.url) {
    const [old, now] = [new URL(base.url), new URL(got.url)];
    const [from, to] = [old, now].map((url) => url.origin + url.pathname);
    const place = { ...(to !== from && { at: to }), ...(now.hash !== old.hash && { hash: now.hash }) };
    return { ...place, ...parameters([...now.searchParams], [...old.searchParams]) };
  }
  if (!got.request || !base.request) return got;
  const parts = Object.entries(got.request).filter(([key, value]) => !isDeepStrictEqual(value, base.request[key]));
  const { form, ...rest } = Object.fromEntries(parts);
  const others = Object.keys(rest).length ? { request: rest } : {};
  return form ? { ...others, ...parameters(form, base.request.form) } : others;
}

function parameters(pairs, before) {
  const [now, old] = [Object.fromEntries(pairs), Object.fromEntries(before)];
  const set = Object.fromEntries(Object.entries(now).filter(([key, value]) => value !== old[key]));
  const gone = Object.keys(old).filter((key) => !(key in now));
  return { ...(Object.keys(set).length && { set }), ...(gone.length && { gone }) };
}

// ---------------------------------------------------------------- what is varied for every provider

const OPTIONS = { clientId: "client-id", clientSecret: "client-secret" };
const VERIFIER = "abcdefghijklmnopqrstuvwxyz-_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".repeat(2);
const INPUT = { state: "state-of-32-characters-_-ABCDEFG", codeVerifier: VERIFIER };
const PLACES = [
  [{ authority: "https://login.example.com//" }],
  [{ tenantId: "organizations" }],
  [{ issuer: "https://id.example.com/sub//" }],
  [{ domain: "https://login.example.com" }],
  [{ environment: "sandbox" }],
  [{ environment: "live" }],
  [{ environment: "production" }],
  [{ loginUrl: "my.example.com" }],
  [{ loginUrl: "my.example.com", environment: "sandbox" }],
];
const RESERVED = { state: "evil", client_id: "evil", redirect_uri: "evil", response_type: "evil", nonce: "evil" };
const EXTRA = { audience: "x y", prompt: "login", owner: "workspace", lang: "en", client_key: "evil", appid: "evil" };
const AUTHORIZATION_OPTIONS = [
  [{ scope: ["extra.one", "extra/two"] }, { scopes: ["asked:three", "extra.one"] }],
  [{ disableDefaultScope: true }],
  [{ disableDefaultScope: true, scope: ["extra.one"] }],
  [{ prompt: "consent" }],
  [{ accessType: "offline" }],
  [{ display: "page" }],
  [{ hd: "example.com" }],
  [{ includeGrantedScopes: false }],
  [{ includeGrantedScopes: true }],
  [{ configId: "config-1" }],
  [{ permissions: 8 }],
  [{ identityProvider: "Google" }],
  [{ requestShippingAddress: true }],
  [{ duration: "permanent" }],
  [{ scheme: "dark" }],
  [{ lang: "en" }],
  [{ platformType: "WebsiteApp" }],
  [{ claims: ["email", "custom"] }],
  [{ claims: [] }],
  [{ pkce: false }],
  [{ responseMode: "query" }],
  [{ responseMode: "form_post" }],
  [{ responseType: "token" }],
  [{ authorizationEndpoint: "https://mock.example.com/authorize?tenant=a%20b&scope=old#top" }],
  [{ redirectURI: "https://other.example.com/cb?x=1" }],
  [{ clientId: ["client-id", "client-ios"] }],
  [{ clientId: null }],
  [{ clientSecret: null }],
  [{ clientKey: "key-2" }],
  [{ requireClientSecret: true, clientSecret: null }],
  ...PLACES,
];
const AUTHORIZATION_INPUT = [
  [{}, { loginHint: "ada@example.com" }],
  [{}, { display: "popup" }],
  [{}, { idTokenNonce: "nonce-1" }],
  [{}, { codeVerifier: null }],
  [{}, { additionalParams: EXTRA }],
  [{}, { additionalParams: { ...RESERVED, code_challenge: "evil", code_challenge_method: "evil", scope: "evil" } }],
];
const AUTHORIZATION = [...AUTHORIZATION_OPTIONS, ...AUTHORIZATION_INPUT];
const ASSERTION = { returns: "assertion" };
const CLIENT = [
  [{ clientSecret: null }],
  [{ clientId: "client id+ä", clientSecret: "s:e c/r%+*~!'()" }],
  [{ clientId: ["client-id", "client-ios"] }],
  [{ clientKey: "key-2" }],
  [{ tokenEndpointAuth: { method: "client_secret_post" } }],
  [{ tokenEndpointAuth: { method: "client_secret_basic" } }],
  [{ tokenEndpointAuthMethod: "none", clientSecret: null }],
  [{ clientAssertion: ASSERTION, clientSecret: null }],
  [{ redirectURI: "https://other.example.com/cb?x=1" }],
  [{ pkce: false }],
  [{ scope: ["extra.one"] }],
  [{ disableDefaultScope: true }],
  ...PLACES,
];
const AUTH = [
  [{ tokenEndpointAuth: { method: "none" } }],
  [{ tokenEndpointAuth: { method: "none" }, clientSecret: null }],
  [{ tokenEndpointAuth: { method: "client_secret_post" }, clientSecret: null }],
  [{ tokenEndpointAuth: { method: "client_secret_basic" }, clientSecret: null }],
  [{ tokenEndpointAuth: { method: "private_key_jwt", getClientAssertion: ASSERTION } }],
  [{ tokenEndpointAuth: { method: "private_key_jwt", getClientAssertion: ASSERTION }, clientSecret: null }],
  [{ tokenEndpointAuth: { method: "custom", customizeRequest: { returns: null } } }],
];
const EXCHANGES = [
  [{}, { deviceId: "device-1" }],
  [{}, { codeVerifier: null }],
];

const GRANT = { access_token: "access-2", token_type: "bearer", scope: "a b" };
const TOKEN_ANSWERS = {
  full: {
    body: { ...GRANT, refresh_token: "refresh-2", id_token: "id-2", expires_in: 3600, refresh_token_expires_in: 86400 },
  },
  minimal: { body: { access_token: "access-2" } },
  scopeList: { body: { ...GRANT, scope: ["a", " b ", "", 3] } },
  scopeSpaces: { body: { ...GRANT, scope: " a\tb  c,d " } },
  expiresString: { body: { ...GRANT, expires_in: "3600" } },
  expiresZero: { body: { ...GRANT, expires_in: 0 } },
  nullRefresh: { body: { ...GRANT, refresh_token: null } },
  providerIds: { body: { ...GRANT, scope: "a,b", expires_in: 7200, openid: "openid-1", unionid: "unionid-1" } },
  errorBody: { body: { error: "bad_verification_code", error_description: "expired" } },
  errcode: { body: { errcode: 40029, errmsg: "invalid code" } },
  empty: { body: {} },
  refused: { status: 400, body: { error: "invalid_grant" } },
  down: { status: 500, text: "down", type: "text/plain" },
  redirect: { status: 302, body: {}, headers: { location: "https://elsewhere.example.com/" } },
  asText: { text: JSON.stringify(GRANT), type: "text/plain" },
  notJson: { text: "access_token=access-2&scope=a", type: "application/x-www-form-urlencoded" },
  broken: { fails: true },
};

const FAILURES = [{ status: 500, body: {} }, { status: 401, body: {} }, { fails: true }, { body: null }, { body: {} }];
const FLAGS = [true, false, "true", "false", 1, 0];

// ---------------------------------------------------------------- id tokens

const CLAIMS = { sub: "subject-1", aud: "client-id", iat: SECONDS - 10, exp: SECONDS + 600, nonce: "nonce-1" };
const SHA256 = "9e3f156324d42f0ea4b6f4fce81d56fbd64a2143a3fdd60a130d9c90e5b4d688";
const ID_TOKEN_CASES = {
  right: {},
  nonceNotAsked: { nonce: null },
  nonceAskedEmpty: { nonce: "" },
  nonceMissing: { claims: { nonce: null } },
  nonceMissingNotAsked: { claims: { nonce: null }, nonce: null },
  nonceOther: { claims: { nonce: "nonce-2" } },
  nonceNumber: { claims: { nonce: 1 }, nonce: "1" },
  nonceSha256: { claims: { nonce: SHA256 } },
  nonceSha256Upper: { claims: { nonce: SHA256.toUpperCase() } },
  audOther: { claims: { aud: "client-other" } },
  audMissing: { claims: { aud: null } },
  audList: { claims: { aud: ["client-other", "client-id"] } },
  audListOther: { claims: { aud: ["client-other"] } },
  audListAzpOther: { claims: { aud: ["client-other", "client-id"], azp: "client-other" } },
  audSecondOfTwo: { claims: { aud: "client-ios" }, options: { clientId: ["client-id", "client-ios"] } },
  audEmptyConfig: { claims: { aud: "" }, options: { clientId: "" } },
  audNoConfig: { options: { clientId: null } },
  issOther: { claims: { iss: "https://evil.example.com" } },
  issMissing: { claims: { iss: null } },
  subMissing: { claims: { sub: null } },
  subEmpty: { claims: { sub: "" } },
  emailMissing: { claims: { email: null } },
  expired: { claims: { exp: SECONDS - 600 } },
  expiredBy29: { claims: { exp: SECONDS - 29 } },
  expiredBy30: { claims: { exp: SECONDS - 30 } },
  expMissing: { claims: { exp: null } },
  expString: { claims: { exp: String(SECONDS + 600) } },
  iatMissing: { claims: { iat: null } },
  iatHourAgo: { claims: { iat: SECONDS - 3600 } },
  iat3630Ago: { claims: { iat: SECONDS - 3630 } },
  iat3631Ago: { claims: { iat: SECONDS - 3631 } },
  iatDayAgo: { claims: { iat: SECONDS - 86400 } },
  iatIn30: { claims: { iat: SECONDS + 30 } },
  iatIn31: { claims: { iat: SECONDS + 31 } },
  iatInAnHour: { claims: { iat: SECONDS + 3600, exp: SECONDS + 7200 } },
  nbfIn30: { claims: { nbf: SECONDS + 30 } },
  nbfIn31: { claims: { nbf: SECONDS + 31 } },
  algHS256: { header: { alg: "HS256" } },
  algNone: { header: { alg: "none" } },
  algRS512: { header: { alg: "RS512" } },
  algPS256: { header: { alg: "PS256" } },
  typMissing: { header: { typ: null } },
  typOther: { header: { typ: "at+jwt" } },
  critUnknown: { header: { crit: ["x"], x: 1 } },
  kidUnknown: { header: { kid: "key-9" } },
  kidMissing: { header: { kid: null } },
  kidMissingTwoKeys: { header: { kid: null }, answer: { jwks: ["other", "key-1"] } },
  twoKeys: { answer: { jwks: ["other", "key-1"] } },
  signedByOther: { key: "other" },
  keyWithoutAlg: { answer: { jwks: ["key-1"], jwk: { alg: null } } },
  keyForEncryption: { answer: { jwks: ["key-1"], jwk: { use: "enc" } } },
  keysEmpty: { answer: { jwks: [] } },
  keysDown: { answer: { status: 500, body: {} } },
  keysNotThere: { answer: { body: {} } },
  keysRedirect: { answer: { status: 302, body: {}, headers: { location: "https://elsewhere.example.com/" } } },
  malformed: { token: "a.b.c" },
  opaque: { token: "opaque-token" },
  fourParts: { token: "a.b.c.d" },
  disabled: { options: { disableIdTokenSignIn: true } },
  ownCheckYes: { options: { verifyIdToken: { returns: true } }, claims: { aud: "client-other" } },
  ownCheckNo: { options: { verifyIdToken: { returns: false } } },
  ownCheckDisabled: { options: { verifyIdToken: { returns: true }, disableIdTokenSignIn: true } },
};

// ---------------------------------------------------------------- what the providers answer

const PERSON = { name: "Ada Lovelace", email: "ada@example.com", picture: "https://img.example.com/ada.png" };
const OIDC = { sub: "subject-1", ...PERSON, email_verified: true };
const ACCESS = { accessToken: "access-1" };
const MAPPED = { name: "M", email: "m@example.com", emailVerified: true, image: null, extra: 7, id: "other" };
const PHOTO = { base64: "/9j/AA==", type: "image/jpeg" };
const TENANT = "00000000-0000-4000-8000-000000000001";
const CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad";
const AUTHORITY = "https://login.microsoftonline.com";
const body = (value) => ({ body: value });
const userinfo = (profile, more = {}) => ({ name: "userinfo", tokens: ACCESS, answers: [body(profile)], ...more });
const idToken = (jwt, more = {}) => ({
  name: "id token",
  tokens: { ...ACCESS, idToken: { jwt } },
  answers: [],
  ...more,
});
const at = (pointer, value) => [[pointer, value]];
const all = (values) => Object.entries(values);
const without = (...pointers) => pointers.map((pointer) => [pointer]);

const ENTRA = { oid: "oid-1", tid: TENANT, sub: "subject-1", ...PERSON };
const ENTRA_CASES = {
  tidMissing: { claims: { tid: null } },
  tidOther: { claims: { tid: CONSUMERS } },
  tidNumber: { claims: { tid: 1 } },
  otherTenant: { claims: { tid: "other", iss: `${AUTHORITY}/other/v2.0` } },
  consumer: { claims: { tid: CONSUMERS, iss: `${AUTHORITY}/${CONSUMERS}/v2.0` } },
};
const entraFor = (tenantId) =>
  Object.entries({ right: {}, issOther: ID_TOKEN_CASES.issOther, ...ENTRA_CASES }).map(([name, one]) => [
    `${tenantId}:${name}`,
    { ...one, options: { tenantId } },
  ]);

const DISCORD = {
  id: "80351110224678912",
  username: "ada",
  global_name: "Ada Lovelace",
  discriminator: "0",
  email: "ada@example.com",
  verified: true,
  avatar: "8342729096ea3675442027381ff50dfe",
};
const FACEBOOK = {
  id: "fb-1",
  name: "Ada Lovelace",
  email: "ada@example.com",
  email_verified: true,
  picture: { data: { url: "https://img.example.com/ada.png", width: 50 } },
};
const DEBUG = { data: { is_valid: true, app_id: "client-id", user_id: "fb-1" } };
const EMAILS = [
  { email: "old@example.com", primary: false, verified: false },
  { email: "ada@example.com", primary: true, verified: true },
];

const PROVIDERS = {
  apple: {
    profile: [
      idToken(
        { sub: "subject-1", email: "ada@example.com", email_verified: "true", name: "Claimed" },
        {
          tokens: {
            idToken: { jwt: { sub: "subject-1", email: "ada@example.com", email_verified: "true", name: "Claimed" } },
            user: { name: { firstName: "Ada", lastName: "Lovelace" }, email: "form@example.com" },
          },
          more: [without("/tokens/user", "/tokens/idToken/jwt/name"), at("/tokens/user/name", { firstName: "" })],
        },
      ),
    ],
    idToken: {
      claims: { iss: "https://appleid.apple.com" },
      cases: {
        audienceOption: { options: { audience: "aud-1" }, claims: { aud: "aud-1" } },
        audienceOptionNotClientId: { options: { audience: "aud-1" } },
        audienceList: { options: { audience: ["aud-1", "aud-2"] }, claims: { aud: "aud-2" } },
        audienceEmptyList: { options: { audience: [] } },
        bundle: { options: { appBundleIdentifier: "bundle-1" }, claims: { aud: "bundle-1" } },
        bundleNotClientId: { options: { appBundleIdentifier: "bundle-1" } },
        audienceBeforeBundle: { options: { appBundleIdentifier: "b", audience: "a" }, claims: { aud: "b" } },
      },
    },
  },
  atlassian: { profile: [userinfo({ account_id: "id-1", ...PERSON })] },
  cloudflare: {
    clientMore: [...AUTH, [{ tokenEndpointAuthMethod: "client_secret_post" }]],
    profile: [
      userinfo(
        { success: true, errors: [], result: { id: "id-1", email: PERSON.email, first_name: "Ada", last_name: "L" } },
        {
          more: [
            without("/answers/0/body/result/first_name", "/answers/0/body/result/last_name"),
            all({ "/answers/0/body/result/first_name": null, "/answers/0/body/result/last_name": null }),
          ],
        },
      ),
    ],
  },
  cognito: {
    options: { domain: "d.example.com", region: "us-east-1", userPoolId: "us-east-1_Pool" },
    profile: [
      idToken(
        { ...OIDC, given_name: "Ada", username: "ada" },
        {
          answers: [body({ ...OIDC, name: "From Userinfo" })],
          more: [
            without("/tokens/idToken/jwt/name"),
            without("/tokens/idToken/jwt/name", "/tokens/idToken/jwt/given_name"),
            without("/tokens/idToken/jwt/name", "/tokens/idToken/jwt/given_name", "/tokens/idToken/jwt/username"),
            without("/tokens/idToken", "/tokens/accessToken"),
          ],
        },
      ),
      userinfo(
        { ...OIDC, given_name: "Ada", username: "ada" },
        {
          more: [
            without("/answers/0/body/name", "/answers/0/body/given_name"),
            without("/answers/0/body/name", "/answers/0/body/given_name", "/answers/0/body/username"),
          ],
        },
      ),
    ],
    idToken: { claims: { iss: "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool" } },
    authorizationMore: [[{ domain: null }], [{ region: null }], [{ userPoolId: null }]],
  },
  discord: {
    authorizationMore: [
      [{ scope: ["bot"] }],
      [{ permissions: 8, scope: ["bot"] }],
      [{ permissions: 0 }, { scopes: ["bot"] }],
    ],
    profile: [
      userinfo(DISCORD, {
        more: [
          at("/answers/0/body/avatar", "a_8342729096ea3675442027381ff50dfe"),
          all({ "/answers/0/body/avatar": null, "/answers/0/body/id": "80351110224678913" }),
          all({ "/answers/0/body/avatar": null, "/answers/0/body/discriminator": "1337" }),
          all({ "/answers/0/body/avatar": null, "/answers/0/body/discriminator": "0007" }),
          all({ "/answers/0/body/avatar": null, "/answers/0/body/id": "not-a-number" }),
          all({ "/answers/0/body/avatar": null, "/answers/0/body/discriminator": null }),
          all({ "/answers/0/body/global_name": null, "/answers/0/body/username": "" }),
        ],
      }),
    ],
  },
  dropbox: {
    profile: [
      userinfo({
        account_id: "dbid:1",
        name: { display_name: "Ada Lovelace" },
        email: PERSON.email,
        email_verified: true,
        profile_photo_url: PERSON.picture,
      }),
    ],
    authorizationMore: [[{ accessType: "legacy" }]],
  },
  facebook: {
    profile: [
      {
        name: "access token",
        tokens: ACCESS,
        answers: [body(DEBUG), body(FACEBOOK)],
        more: [
          at("/answers/0/body/data/app_id", "other"),
          at("/answers/0/body/data/user_id", "fb-2"),
          at("/answers/0/body/data/is_valid", "true"),
          at("/answers/0", { status: 302, body: {}, headers: { location: "https://elsewhere.example.com/" } }),
          at("/tokens/idToken", "opaque-token"),
          all({ "/options": { clientId: ["client-other", "client-id"] } }),
          all({ "/options": { clientSecret: null } }),
          all({ "/options": { fields: ["birthday", "name"] } }),
          all({ "/options": { getUserInfo: { returns: { user: { name: "Own" }, data: { id: "fb-9" } } } } }),
          all({
            "/options": { getUserInfo: { returns: { user: { name: "Own" }, data: { id: "fb-9" } } } },
            "/answers/0/body/data/app_id": "other",
          }),
        ],
      },
      {
        name: "limited login",
        tokens: { idToken: { jwt: OIDC } },
        answers: [],
        more: [at("/tokens/accessToken", "access-1")],
      },
    ],
    idToken: { claims: { iss: "https://www.facebook.com" } },
  },
  figma: { profile: [userinfo({ id: "id-1", handle: "Ada", email: PERSON.email, img_url: PERSON.picture })] },
  github: {
    profile: [
      {
        name: "userinfo",
        tokens: ACCESS,
        answers: [
          body({ id: 583231, login: "ada", name: "Ada Lovelace", email: PERSON.email, avatar_url: PERSON.picture }),
          body(EMAILS),
        ],
        more: [
          all({ "/answers/0/body/email": null, "/answers/1/body/1/verified": false }),
          all({ "/answers/0/body/email": null, "/answers/1/body/1/primary": false }),
          all({ "/answers/0/body/email": null, "/answers/1/body": [] }),
          all({ "/answers/0/body/email": null, "/answers/1": { status: 403, body: { message: "no" } } }),
          at("/answers/0/body/email", "public@example.com"),
          at("/answers/0/body/email", "ADA@example.com"),
          at("/answers/1", { status: 403, body: { message: "no" } }),
          all({ "/answers/0/body/name": null, "/answers/0/body/login": null }),
        ],
      },
    ],
  },
  gitlab: {
    profile: [
      userinfo(
        {
          id: 1,
          username: "ada",
          name: "Ada Lovelace",
          email: PERSON.email,
          avatar_url: PERSON.picture,
          state: "active",
          locked: false,
          email_verified: true,
        },
        {
          more: [
            at("/answers/0/body/state", "blocked"),
            at("/answers/0/body/locked", true),
            all({ "/answers/0/body/name": null, "/answers/0/body/username": null }),
            all({ "/options": { issuer: "https://gitlab.example.com//sub/" } }),
          ],
        },
      ),
    ],
  },
  google: {
    profile: [
      idToken(OIDC, {
        more: [
          all({ "/options": { hd: "example.com" } }),
          all({ "/options": { hd: "example.com" }, "/tokens/idToken/jwt/hd": "example.com" }),
          all({ "/options": { hd: "example.com" }, "/tokens/idToken/jwt/hd": "EXAMPLE.com" }),
          all({ "/options": { hd: "*" }, "/tokens/idToken/jwt/hd": "other.example.com" }),
          all({ "/options": { hd: "*" } }),
        ],
      }),
    ],
    idToken: {
      claims: { iss: "https://accounts.google.com" },
      cases: {
        shortIssuer: { claims: { iss: "accounts.google.com" } },
        hd: { options: { hd: "example.com" }, claims: { hd: "example.com" } },
        hdMissing: { options: { hd: "example.com" } },
        hdOther: { options: { hd: "example.com" }, claims: { hd: "other.example.com" } },
        hdAny: { options: { hd: "*" }, claims: { hd: "other.example.com" } },
        hdAnyMissing: { options: { hd: "*" } },
      },
    },
  },
  huggingface: {
    profile: [
      userinfo(
        { ...OIDC, preferred_username: "ada" },
        {
          more: [without("/answers/0/body/name", "/answers/0/body/preferred_username")],
        },
      ),
    ],
  },
  kakao: {
    profile: [
      userinfo(
        {
          id: 12345,
          kakao_account: {
            email: PERSON.email,
            is_email_valid: true,
            is_email_verified: true,
            name: "Ada Legal",
            profile: {
              nickname: "Ada",
              profile_image_url: PERSON.picture,
              thumbnail_image_url: "https://img.example.com/t",
            },
          },
        },
        { more: [without("/answers/0/body/kakao_account/profile", "/answers/0/body/kakao_account/name")] },
      ),
    ],
  },
  kick: {
    profile: [
      userinfo(
        { data: [{ user_id: 1, name: "ada", email: PERSON.email, profile_picture: PERSON.picture }] },
        {
          more: [at("/answers/0/body/data", [])],
        },
      ),
    ],
  },
  line: {
    profile: [idToken(OIDC, { answers: [body({ ...OIDC, name: "From Userinfo" })] }), userinfo(OIDC)],
    idToken: {
      own: true,
      answer: body({ iss: "https://access.line.me", sub: "subject-1", aud: "client-id", nonce: "nonce-1" }),
      cases: {
        right: {},
        nonceNotAskedButThere: { nonce: null },
        nonceNotThere: { answer: body({ aud: "client-id" }) },
        nonceNeitherAskedNorThere: { answer: body({ aud: "client-id" }), nonce: null },
        nonceOther: { answer: body({ aud: "client-id", nonce: "nonce-2" }) },
        audOther: { answer: body({ aud: "other", nonce: "nonce-1" }) },
        audList: { answer: body({ aud: ["client-id"], nonce: "nonce-1" }) },
        clientIdList: { options: { clientId: ["client-id", "client-ios"] } },
        refused: { answer: { status: 400, body: { error: "invalid_request" } } },
        redirect: { answer: { status: 302, body: {}, headers: { location: "https://elsewhere.example.com/" } } },
        broken: { answer: { fails: true } },
        opaque: { token: "opaque-token" },
        disabled: { options: { disableIdTokenSignIn: true } },
        ownCheckYes: { options: { verifyIdToken: { returns: true } } },
      },
    },
  },
  linear: {
    profile: [
      userinfo(
        { data: { viewer: { id: "id-1", name: "Ada", email: PERSON.email, avatarUrl: PERSON.picture } } },
        {
          more: [at("/answers/0/body", { errors: [{ message: "no" }] })],
        },
      ),
    ],
  },
  linkedin: { profile: [userinfo(OIDC)] },
  microsoft: {
    clientMore: [[{ clientAssertion: ASSERTION }]],
    profile: [
      idToken(ENTRA, {
        answers: [PHOTO],
        more: [
          at("/tokens/idToken/jwt/oid", " "),
          at("/tokens/idToken/jwt/oid", 5),
          at("/tokens/idToken/jwt/verified_primary_email", ["ada@example.com"]),
          at("/tokens/idToken/jwt/verified_secondary_email", ["old@example.com", "ada@example.com"]),
          at("/tokens/idToken/jwt/verified_primary_email", ["ADA@example.com"]),
          at("/tokens/idToken/jwt/verified_primary_email", "xada@example.comx"),
          all({
            "/tokens/idToken/jwt/email_verified": false,
            "/tokens/idToken/jwt/verified_primary_email": [PERSON.email],
          }),
          ...[...FLAGS, null].map((flag) => at("/tokens/idToken/jwt/email_verified", flag)),
          at("/tokens/idToken/jwt/xms_edov", true),
          without("/tokens/idToken/jwt/email"),
          all({ "/options": { disableProfilePhoto: true } }),
          all({ "/options": { profilePhotoSize: 240 } }),
          at("/answers/0", { status: 404, body: {} }),
        ],
      }),
    ],
    authorizationMore: [[{ tenantId: TENANT }], [{ authority: "https://login.example.com/sub" }]],
    idToken: {
      claims: { iss: `${AUTHORITY}/${TENANT}/v2.0`, tid: TENANT },
      cases: {
        ...ENTRA_CASES,
        ...Object.fromEntries([TENANT, "organizations", "consumers"].flatMap(entraFor)),
        otherAuthority: { options: { authority: "https://login.example.com/" } },
        rightAuthority: {
          options: { authority: "https://login.example.com/" },
          claims: { iss: `https://login.example.com/${TENANT}/v2.0` },
        },
      },
    },
  },
  naver: {
    profile: [
      userinfo(
        {
          resultcode: "00",
          message: "success",
          response: { id: "id-1", name: "Ada", nickname: "ada", email: PERSON.email, profile_image: PERSON.picture },
        },
        {
          more: [
            at("/answers/0/body/resultcode", "024"),
            at("/answers/0/body/resultcode", 0),
            without("/answers/0/body/response/name", "/answers/0/body/response/nickname"),
          ],
        },
      ),
    ],
  },
  notion: {
    profile: [
      userinfo(
        {
          object: "user",
          id: "bot-1",
          bot: {
            owner: {
              type: "user",
              user: {
                id: "id-1",
                name: "Ada",
                avatar_url: PERSON.picture,
                person: { email: PERSON.email },
              },
            },
          },
        },
        { more: [at("/answers/0/body/bot/owner", { type: "workspace", workspace: true })] },
      ),
    ],
  },
  paybin: {
    profile: [
      idToken(
        { ...OIDC, preferred_username: "ada" },
        {
          more: [without("/tokens/idToken/jwt/name", "/tokens/idToken/jwt/preferred_username")],
        },
      ),
    ],
  },
  paypal: {
    profile: [
      userinfo(
        { user_id: "https://paypal.example.com/id-1", ...PERSON, email_verified: true },
        {
          more: [all({ "/options": { environment: "live" } }), all({ "/options": { environment: "production" } })],
        },
      ),
      idToken(
        { sub: "subject-1" },
        {
          answers: [body({ user_id: "id-1", ...OIDC })],
          more: [
            at("/tokens/idToken/jwt/sub", "subject-2"),
            at("/tokens/idToken/jwt/sub", "id-1"),
            all({ "/tokens/idToken/jwt/sub": "id-1", "/answers/0/body/sub": null }),
          ],
        },
      ),
    ],
  },
  polar: {
    profile: [
      userinfo(
        {
          id: "id-1",
          sub: "subject-1",
          public_name: "Ada",
          username: "ada",
          email: PERSON.email,
          avatar_url: PERSON.picture,
          email_verified: true,
        },
        { more: [without("/answers/0/body/public_name", "/answers/0/body/username")] },
      ),
    ],
  },
  railway: { profile: [userinfo(OIDC)] },
  reddit: {
    profile: [
      userinfo(
        { id: "id-1", name: "ada", icon_img: "https://img.example.com/ada.png?width=1&x=?2", has_verified_email: true },
        {
          more: [
            all({ "/options": { mapProfileToUser: { returns: { name: "Mapped" } } } }),
            all({ "/options": { mapProfileToUser: { returns: { email: "m@example.com" } } } }),
            all({ "/options": { mapProfileToUser: { returns: { email: "", emailVerified: true } } } }),
            at("/answers/0/body/id", "has space"),
          ],
        },
      ),
    ],
    authorizationMore: [[{ duration: "temporary" }]],
  },
  roblox: {
    profile: [
      userinfo(
        { sub: "1234", nickname: "Ada", preferred_username: "ada", picture: PERSON.picture, email: PERSON.email },
        {
          more: [
            without("/answers/0/body/nickname", "/answers/0/body/preferred_username"),
            at("/answers/0/body/sub", "a b"),
          ],
        },
      ),
    ],
  },
  salesforce: {
    profile: [
      userinfo(
        {
          user_id: "id-1",
          sub: "https://login.salesforce.com/id/1",
          name: "Ada",
          email: PERSON.email,
          email_verified: true,
          photos: { picture: PERSON.picture, thumbnail: "https://img.example.com/t" },
        },
        {
          more: [all({ "/options": { loginUrl: "my.example.com" } }), all({ "/options": { environment: "sandbox" } })],
        },
      ),
    ],
  },
  slack: {
    profile: [
      userinfo(
        {
          ok: true,
          ...OIDC,
          "https://slack.com/user_id": "U1",
          "https://slack.com/user_image_512": "https://img.example.com/5",
        },
        { more: [at("/answers/0/body", { ok: false, error: "invalid_auth" })] },
      ),
    ],
  },
  spotify: {
    profile: [
      userinfo(
        { id: "id-1", display_name: "Ada", email: PERSON.email, images: [{ url: PERSON.picture }, { url: "x" }] },
        {
          more: [at("/answers/0/body/images", [])],
        },
      ),
    ],
  },
  tiktok: {
    options: { clientKey: "client-key" },
    profile: [
      userinfo(
        {
          data: {
            user: {
              open_id: "open-1",
              union_id: "union-1",
              display_name: "Ada",
              username: "ada",
              email: PERSON.email,
              avatar_large_url: PERSON.picture,
            },
          },
          error: { code: "ok", message: "" },
        },
        {
          more: [
            without("/answers/0/body/data/user/display_name", "/answers/0/body/data/user/username"),
            at("/answers/0/body/error/code", "access_token_invalid"),
          ],
        },
      ),
    ],
    authorizationMore: [[{ scope: ["user.info.basic"] }], [{ clientKey: null }]],
    clientMore: [[{ clientKey: null }]],
  },
  twitch: {
    profile: [
      idToken({
        sub: "subject-1",
        email: PERSON.email,
        email_verified: true,
        preferred_username: "Ada",
        picture: PERSON.picture,
      }),
    ],
  },
  twitter: {
    profile: [
      {
        name: "userinfo",
        tokens: ACCESS,
        answers: [
          body({ data: { id: "1", name: "Ada", username: "ada", profile_image_url: PERSON.picture } }),
          body({ data: { id: "1", confirmed_email: PERSON.email } }),
        ],
        more: [
          at("/answers/1", { status: 403, body: {} }),
          all({ "/answers/0/body/data/email": "first@example.com" }),
          all({ "/answers/0/body/data/email": "first@example.com", "/answers/1": { status: 403, body: {} } }),
        ],
      },
    ],
  },
  vercel: {
    clientMore: AUTH,
    profile: [
      userinfo(
        { ...OIDC, preferred_username: "ada" },
        {
          more: [without("/answers/0/body/name", "/answers/0/body/preferred_username")],
        },
      ),
    ],
  },
  vk: {
    profile: [
      userinfo(
        {
          user: {
            user_id: "1",
            first_name: "Ada",
            last_name: "Lovelace",
            email: PERSON.email,
            avatar: PERSON.picture,
            birthday: "01.01.2000",
            sex: 1,
            verified: true,
            phone: "79990000000",
          },
        },
        {
          more: [
            all({
              "/answers/0/body/user/email": "",
              "/options": { mapProfileToUser: { returns: { email: "m@example.com" } } },
            }),
            all({ "/answers/0/body/user/email": "", "/options": { mapProfileToUser: { returns: { name: "M" } } } }),
            at("/answers/0/body", { error: "invalid_token" }),
            all({ "/options": { clientId: ["client-id", "client-ios"] } }),
          ],
        },
      ),
    ],
  },
  wechat: {
    profile: [
      userinfo(
        { openid: "openid-1", unionid: "unionid-1", nickname: "Ada", headimgurl: PERSON.picture, email: PERSON.email },
        {
          tokens: { ...ACCESS, openid: "openid-0", unionid: "unionid-0" },
          more: [
            without("/answers/0/body/email"),
            without("/answers/0/body/email", "/answers/0/body/unionid"),
            without("/answers/0/body/email", "/answers/0/body/unionid", "/answers/0/body/openid"),
            at("/answers/0/body", { errcode: 40001, errmsg: "invalid credential" }),
            at("/answers/0/body/errcode", 0),
            all({ "/options": { lang: "en" } }),
            at("/answers/0/body/openid", "o_-A"),
          ],
        },
      ),
    ],
  },
  zoom: {
    profile: [
      userinfo({
        id: "id-1",
        display_name: "Ada",
        first_name: "A",
        email: PERSON.email,
        pic_url: PERSON.picture,
        verified: 1,
      }),
    ],
  },
};

const DISCOVERY = {
  issuer: "https://idp.example.com",
  authorization_endpoint: "https://idp.example.com/authorize?audience=api",
  token_endpoint: "https://idp.example.com/token",
  userinfo_endpoint: "https://idp.example.com/userinfo",
  jwks_uri: "https://idp.example.com/keys",
  end_session_endpoint: "https://idp.example.com/logout",
  id_token_signing_alg_values_supported: ["RS256", "PS256"],
};
const DISCOVERED = { answer: body(DISCOVERY), idToken: { claims: { iss: DISCOVERY.issuer, email: PERSON.email } } };
const VERIFIED = { iss: DISCOVERY.issuer, ...CLAIMS, ...OIDC };
const verified = (jwt, answers = [], more = []) => ({
  name: "verified id token",
  answers: [{ jwks: ["key-1"] }, ...answers],
  tokens: { ...ACCESS, idToken: { jwt: { ...VERIFIED, ...jwt } }, expectedIdTokenNonce: "nonce-1" },
  more: [
    at("/tokens/idToken/jwt/aud", "client-other"),
    at("/tokens/idToken/jwt/iss", "https://evil.example.com"),
    at("/tokens/idToken/jwt/nonce", "nonce-2"),
    at("/tokens/idToken/jwt/exp", SECONDS - 600),
    without("/tokens/expectedIdTokenNonce"),
    at("/tokens/idToken/key", "other"),
    at("/tokens/idToken", "opaque-token"),
    at("/answers/0", { status: 500, body: {} }),
    ...more,
  ],
});
const OIDC_PROFILE = [verified({}, [body({ ...OIDC, name: "From Userinfo" })]), userinfo(OIDC)];
const EVERY = ["auth0", "gumroad"];
const brief = (scenario) => ({ ...scenario, brief: true });
const OIDC_BRIEF = OIDC_PROFILE.map(brief);
const EVERY_OPTION = {
  scopes: ["a", "b"],
  redirectURI: "https://other.example.com/cb",
  endSessionEndpoint: "https://e.example.com/logout",
  postLogoutRedirectURI: "/bye",
  disableProviderLogout: false,
  pkce: false,
  disableImplicitSignUp: true,
  disableSignUp: true,
  overrideUserInfo: true,
  tokenEndpointAuth: { method: "client_secret_basic" },
};
const LINE_ID_TOKEN = idToken(OIDC, { answers: [body({ ...OIDC, name: "From Userinfo" })] });

const PRESETS = {
  auth0: {
    ...DISCOVERED,
    make: "auth0",
    options: { domain: "tenant.auth0.com" },
    profile: [],
    config: [{ domain: "http://tenant.auth0.com/path?x" }, { domain: "tenant.auth0.com:8443/" }, { domain: "" }],
  },
  gumroad: {
    make: "gumroad",
    profile: [
      userinfo({
        success: true,
        user: { user_id: "id-1", name: "Ada", email: PERSON.email, profile_url: PERSON.picture },
      }),
    ],
  },
  hubspot: {
    make: "hubspot",
    profile: [
      userinfo(
        { user: PERSON.email, user_id: 7, signed_access_token: { userId: 8 }, hub_id: 9 },
        {
          more: [
            at("/tokens/accessToken", "access/1 +?x"),
            without("/answers/0/body/user_id", "/answers/0/body/signed_access_token"),
          ],
        },
      ),
    ],
  },
  keycloak: {
    ...DISCOVERED,
    make: "keycloak",
    options: { issuer: "https://kc.example.com/realms/r" },
    profile: [],
    config: [{ issuer: "https://kc.example.com/realms/r//" }],
  },
  line: {
    make: "line",
    profile: [LINE_ID_TOKEN, userinfo(OIDC)],
    config: [{ providerId: "line-jp" }],
  },
  "microsoft-entra-id": {
    ...DISCOVERED,
    make: "microsoftEntraId",
    options: { tenantId: TENANT },
    config: ["common", "organizations", "consumers", "example.com"]
      .map((tenantId) => ({ tenantId }))
      .concat([{ tenantId: "ABCDEF00-0000-4000-8000-000000000001" }]),
    profile: [
      brief(
        verified(
          { oid: "oid-1", given_name: "Ada", family_name: "L" },
          [body({ ...OIDC, name: "From Userinfo", job: "x" })],
          [
            without("/tokens/idToken/jwt/name"),
            without("/tokens/idToken/jwt/name", "/tokens/idToken/jwt/given_name"),
            without("/tokens/idToken/jwt/name", "/tokens/idToken/jwt/given_name", "/tokens/idToken/jwt/family_name"),
            without("/tokens/idToken/jwt/email"),
            without("/tokens/idToken/jwt/email", "/answers/1/body/email"),
            without("/tokens/idToken/jwt/email_verified"),
            without("/tokens/idToken/jwt/picture"),
            at("/answers/1/body/sub", "subject-2"),
            all({ "/answers/1": { status: 500, body: {} } }),
            without("/tokens/accessToken"),
            without("/tokens/idToken/jwt/oid"),
            at("/tokens/idToken/jwt/oid", " "),
            at("/tokens/idToken/jwt/oid", 5),
            at("/tokens/idToken/jwt/email_verified", "true"),
          ],
        ),
      ),
    ],
  },
  okta: {
    ...DISCOVERED,
    make: "okta",
    options: { issuer: "https://dev.okta.com/oauth2/default" },
    profile: [],
    config: [{ issuer: "https://dev.okta.com/oauth2/default/" }],
  },
  patreon: {
    make: "patreon",
    profile: [
      userinfo({
        data: {
          id: "id-1",
          attributes: {
            full_name: "Ada",
            email: PERSON.email,
            image_url: PERSON.picture,
            is_email_verified: true,
          },
        },
      }),
    ],
  },
  slack: {
    make: "slack",
    profile: [userinfo({ ok: true, ...OIDC, "https://slack.com/user_image_512": "https://img.example.com/5" })],
  },
  yandex: {
    make: "yandex",
    profile: [
      userinfo(
        {
          id: "1",
          login: "ada",
          display_name: "Ada D",
          real_name: "Ada R",
          first_name: "Ada F",
          default_email: PERSON.email,
          emails: ["second@example.com"],
          default_avatar_id: "131652443",
          is_avatar_empty: false,
        },
        {
          more: [
            at("/answers/0/body/is_avatar_empty", true),
            without("/answers/0/body/default_email", "/answers/0/body/emails"),
            without("/answers/0/body/display_name", "/answers/0/body/real_name"),
            without("/answers/0/body/display_name", "/answers/0/body/real_name", "/answers/0/body/first_name"),
          ],
        },
      ),
    ],
  },
};

const GENERIC_OPTIONS = [
  [{ scopes: ["a", "b"] }, { scopes: ["asked", "a"] }],
  [{ scopes: [] }],
  [{ prompt: "login consent" }],
  [{ accessType: "offline" }],
  [{ responseType: "code id_token" }],
  [{ responseMode: "form_post" }],
  [{ pkce: false }],
  [{ redirectURI: "https://other.example.com/cb?x=1" }],
  [{ authorizationUrlParams: { prompt: "none", scope: "evil", x: "1" } }, { additionalParams: { x: "2" } }],
  [{ authorizationUrl: "https://mock.example.com/authorize?tenant=a%20b&scope=old#top" }],
  [{ authorizationUrl: null }],
  [{ tokenUrl: "https://mock.example.com/token" }],
  [{ tokenUrl: null }],
  [{ authentication: "basic" }],
  [{ authentication: "basic", clientSecret: null }],
  [{ authentication: "post" }],
  [{ authorizationHeaders: { "X-Staging": "1", Accept: "text/plain" } }],
  [{ tokenUrlParams: { code: "evil", audience: "api", client_id: "evil", client_secret: "evil" } }],
  [{ tokenUrlParams: { client_assertion: "own" } }],
  [{ refreshTokenParams: { refresh_token: "evil", grant_type: "evil", scope: "x", client_id: "evil" } }],
  [{ disableIdTokenNonceBinding: true }, { idTokenNonce: "nonce-1" }],
  [{}, { idTokenNonce: "nonce-1" }],
];
const ENDPOINTS = { authorizationUrl: "https://idp.example.com/authorize", tokenUrl: "https://idp.example.com/token" };
const CUSTOM = {
  oauth2: {
    options: { providerId: "custom", ...ENDPOINTS, userInfoUrl: "https://idp.example.com/userinfo", scopes: ["read"] },
    profile: [
      userinfo({ id: "id-1", ...OIDC }),
      idToken(OIDC, { answers: [body({ ...OIDC, id: "id-2", name: "From Userinfo" })] }),
    ],
  },
  oidc: {
    ...DISCOVERED,
    profile: [OIDC_PROFILE[0], OIDC_BRIEF[1]],
    options: { providerId: "custom", discoveryUrl: "https://idp.example.com/.well-known/openid-configuration" },
  },
  "oidc without signing algorithms": {
    ...DISCOVERED,
    answer: body({ ...DISCOVERY, id_token_signing_alg_values_supported: undefined }),
    options: { providerId: "custom", discoveryUrl: "https://idp.example.com/.well-known/openid-configuration" },
    profile: [brief(verified({ id: "id-1" }, [body({ ...OIDC, id: "id-2" })]))],
  },
  "oidc without keys": {
    answer: body({ ...DISCOVERY, jwks_uri: undefined }),
    options: { providerId: "custom", discoveryUrl: "https://idp.example.com/.well-known/openid-configuration" },
    profile: [brief(idToken(OIDC)), brief(userinfo(OIDC))],
  },
};

// ---------------------------------------------------------------- the four calls of a provider

async function call(build, options, replies, use) {
  let provider;
  requests = [];
  try {
    provider = await build(options);
  } catch (error) {
    return { throws: reason(error) };
  }
  return attempt(() => use(provider), replies);
}

function recordAuthorization(build, id, base, variations) {
  const run = async (options, input) => {
    const redirectURI = `https://app.example.com/api/auth/callback/${id}`;
    const { requests: _, ...got } = await call(build, { ...base, ...options }, [], (provider) =>
      provider.createAuthorizationURL(real({ ...INPUT, redirectURI, ...input })),
    );
    return got.throws ? got : { url: got.result };
  };
  return vary(run, variations);
}

function recordCall(build, base, use, more) {
  const run = async (options, input) => {
    const got = await call(build, { ...base, ...options }, [TOKEN_ANSWERS.full], (provider) => use(provider, input));
    return got.throws && !got.requests?.length ? { throws: got.throws } : { request: got.requests[0] };
  };
  return vary(run, more);
}

async function recordTokens(build, base, use) {
  const made = {};
  for (const [name, answer] of Object.entries(TOKEN_ANSWERS)) {
    const { result, throws } = await call(build, base, [answer], (provider) => use(provider, {}));
    if (result?.raw && isDeepStrictEqual(result.raw, answer.body)) result.raw = "the answer";
    made[name] = throws ? { throws } : { result };
  }
  return made;
}

function exchange(id) {
  const redirectURI = `https://app.example.com/api/auth/callback/${id}`;
  return (provider, input) =>
    provider.validateAuthorizationCode(real({ code: "code-1", codeVerifier: VERIFIER, redirectURI, ...input }));
}

function refresh(provider) {
  return provider.refreshAccessToken("refresh-1");
}

// ---------------------------------------------------------------- profiles

async function recordProfile(build, base, { more = [], brief = false, ...scenario }) {
  const first = await readProfile(build, base, scenario);
  const cases = [];
  for (const change of distinct(brief ? more : [...more, ...changes(scenario, first.requests.length)])) {
    const result = difference(await readProfile(build, base, changedBy(scenario, change)), first);
    let same = cases.find((one) => isDeepStrictEqual(one.result, result));
    if (!same) cases.push((same = { when: {}, result }));
    grouped(same.when, change);
  }
  return { ...scenario, plain: first, cases: cases.map(({ when, result }) => ({ when, ...result })) };
}

function grouped(when, edits) {
  const [[pointer, ...value]] = edits;
  if (edits.length > 1) (when.together ??= []).push(edits);
  else if (value.length) ((when.set ??= {})[pointer] ??= []).push(value[0]);
  else (when.removed ??= []).push(pointer);
}

function distinct(all) {
  return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
}

async function readProfile(build, base, { tokens, answers: replies, options = {} }) {
  mapped = [];
  const given = real(tokens);
  const scenario = { tokens, answers: replies };
  let account = {};
  const got = await call(build, { ...base, ...options }, replies, async (provider) => {
    const found = await provider.getUserInfo(given);
    if (found) account = await accountOf(provider, given, found.data);
    return found;
  });
  if (!got.result) return got;
  const { user, data } = got.result;
  const gets = mapped.length ? { mapProfileToUserGets: pointerTo(scenario, plain(mapped[0][0])) } : {};
  return { user, data: pointerTo(scenario, data), ...account, ...gets, requests: got.requests };
}

async function accountOf(provider, tokens, data) {
  try {
    return { accountId: (await resolveOAuthAccountKey(provider, tokens, data)).accountId };
  } catch (error) {
    return { accountId: { throws: reason(error) } };
  }
}

/** Where in the scenario that very value is, or the value it was made of and what was set in it, or the value. */
function pointerTo(scenario, value) {
  if (!value || typeof value !== "object") return value;
  let best = { at: null, set: value };
  const walk = (node, at) => {
    if (!node || typeof node !== "object") return;
    if (at && !Array.isArray(node) && Object.keys(node).every((key) => key in value)) {
      const set = Object.entries(value).filter(([key, part]) => !isDeepStrictEqual(part, node[key]));
      if (set.length < Object.keys(best.set).length) best = { at, set: Object.fromEntries(set) };
    }
    for (const [key, part] of Object.entries(node)) walk(part, `${at}/${escaped(key)}`);
  };
  walk(scenario, "");
  if (!best.at) return value;
  return Object.keys(best.set).length ? best : best.at;
}

function escaped(key) {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

function changedBy(scenario, edits) {
  const copy = structuredClone(scenario);
  for (const [pointer, ...value] of edits) {
    const path = pointer
      .split("/")
      .slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = path.pop();
    const node = path.reduce((part, key) => part[key], copy);
    if (value.length) node[last] = value[0];
    else if (Array.isArray(node)) node.splice(Number(last), 1);
    else delete node[last];
  }
  return copy;
}

/** Every field of the profile missing, null, empty or of another type; every token missing; every answer a failure. */
function changes({ tokens, answers: all }, asked) {
  const replies = all.slice(0, asked);
  const found = [at("/options", { mapProfileToUser: { returns: MAPPED } })];
  const walk = (node, pointer) => {
    for (const [key, value] of Object.entries(node)) {
      const inner = `${pointer}/${escaped(key)}`;
      if (["exp", "iat", "aud", "iss", "nonce"].includes(key)) continue;
      found.push(without(inner));
      if (value && typeof value === "object") walk(value, inner);
      else {
        found.push(at(inner, null));
        if (typeof value === "string") found.push(at(inner, ""));
        if (/verified|valid/.test(key)) found.push(...FLAGS.map((flag) => at(inner, flag)));
      }
    }
  };
  replies.forEach((reply, index) => reply.body && walk(reply.body, `/answers/${index}/body`));
  if (tokens.idToken) walk(tokens.idToken.jwt, "/tokens/idToken/jwt");
  for (const key of Object.keys(tokens)) found.push(without(`/tokens/${key}`));
  if (tokens.idToken) found.push(at("/tokens/idToken", "opaque-token"), at("/tokens/idToken", "a.b.c"));
  replies.forEach((_, index) => FAILURES.forEach((failure) => found.push(at(`/answers/${index}`, failure))));
  return found;
}

function difference(got, first) {
  const left = Object.fromEntries(Object.entries(got).filter(([key, part]) => !isDeepStrictEqual(part, first[key])));
  if (got.user && first.user && left.user) {
    const fields = Object.entries(got.user).filter(([key, part]) => !isDeepStrictEqual(part, first.user[key]));
    left.user = Object.fromEntries(fields);
    const gone = Object.keys(first.user).filter((key) => !(key in got.user));
    if (gone.length) left.without = gone;
    if (!fields.length) delete left.user;
  }
  const shared = (left.requests ?? []).every((one, index) => isDeepStrictEqual(one, first.requests[index]));
  if (left.requests && shared) left.requests = left.requests.length;
  return left;
}

// ---------------------------------------------------------------- id tokens of a provider

async function recordIdToken(build, base, { claims = {}, cases = {}, answer = { jwks: ["key-1"] }, own = false }) {
  const accepted = {};
  let seen = {};
  const every = own ? cases : { ...ID_TOKEN_CASES, ...cases };
  for (const [name, one] of Object.entries(every)) {
    const jwt = compact({ ...CLAIMS, ...claims, ...one.claims });
    const token = one.token ?? sign({ jwt, header: one.header, key: one.key });
    const nonce = one.nonce === undefined ? "nonce-1" : (one.nonce ?? undefined);
    const options = { ...base, ...one.options };
    const got = await call(build, options, [one.answer ?? answer], (provider) =>
      verifyProviderIdToken(provider, token, nonce),
    );
    if (name === "right") seen = got.requests;
    accepted[name] = got.throws ? { throws: got.throws } : got.result;
  }
  const requests = seen.map(({ form, ...rest }) => (form ? { ...rest, form: form.map(([key]) => key) } : rest));
  return { accepted, claims: { ...CLAIMS, ...claims }, requests, cases, ...(own && { answer }) };
}

const KEYS_OF_ALL = ["accountSubject", "createAuthorizationURL", "getUserInfo", "id", "name", "options"].concat(
  "refreshAccessToken",
  "validateAuthorizationCode",
);

function facts(provider, options) {
  const { idToken: config } = provider;
  return {
    id: provider.id,
    name: provider.name,
    more: Object.keys(provider)
      .filter((key) => !KEYS_OF_ALL.includes(key))
      .sort(),
    issuer: provider.issuer ?? null,
    requiresIdTokenNonce: provider.requiresIdTokenNonce ?? null,
    supportsIdTokenSignIn: supportsIdTokenSignIn(provider),
    idTokenConfig: config ? described(config) : null,
    refreshes: Boolean(provider.refreshAccessToken),
    ...(isDeepStrictEqual(provider.options, options) ? {} : { options: described(provider.options) }),
  };
}

function described(value) {
  if (typeof value === "function") return "function";
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, described(part)]));
}

// ---------------------------------------------------------------- everything of one provider

async function record(build, id, { options, profile: scenarios, idToken: tokens, ...table }) {
  const base = { ...OPTIONS, ...options };
  const provider = await build(base);
  const token = exchange(id);
  const { authorization = [...AUTHORIZATION, ...(table.authorizationMore ?? [])] } = table;
  const { client = [...CLIENT, ...(table.clientMore ?? [])], exchanges = EXCHANGES } = table;
  const profile = [];
  for (const scenario of scenarios) profile.push(await recordProfile(build, base, scenario));
  const refreshing = provider.refreshAccessToken && {
    ...(await recordCall(build, base, refresh, client)),
    tokens: await recordTokens(build, base, refresh),
  };
  return {
    facts: facts(provider, base),
    options: base,
    authorization: await recordAuthorization(build, id, base, authorization),
    token: {
      ...(await recordCall(build, base, token, [...client, ...exchanges])),
      tokens: await recordTokens(build, base, token),
    },
    refresh: refreshing ?? null,
    profile,
    idToken: tokens ? await recordIdToken(build, base, tokens) : null,
  };
}

function preset(make, discovery) {
  return async (options) => {
    const config = make ? generic[make](real(options)) : real(options);
    const context = { baseURL: "https://app.example.com/api/auth", logger: console, socialProviders: [] };
    answers = discovery ? [structuredClone(discovery)] : [];
    const { context: made } = await generic.genericOAuth({ config: [config] }).init(context);
    if (!made.socialProviders.length) throw new Error("provider skipped");
    return made.socialProviders[0];
  };
}

async function recordGeneric(id, { make, answer, config = [], ...table }) {
  const base = { ...OPTIONS, ...table.options };
  const build = preset(make, answer);
  const few = { authorization: [], client: [], exchanges: [] };
  const many = {
    authorization: [...GENERIC_OPTIONS, ...AUTHORIZATION_INPUT],
    client: [...GENERIC_OPTIONS, ...CLIENT.slice(0, 6), ...AUTH],
  };
  const varied = id === "oauth2" || id === "oidc";
  const recorded = await record(build, base.providerId ?? id, { ...(varied ? many : few), ...table });
  if (!varied) for (const part of [recorded.authorization, recorded.token, recorded.refresh]) delete part.cases;
  if (answer) recorded.discovery = (await attempt(() => build(base))).requests;
  const logout = [];
  for (const data of [{}, { idToken: "id-1" }, { idToken: "id-1", postLogoutRedirectURI: "/bye", state: "s" }]) {
    for (const options of make || answer ? [{}] : [{}, { endSessionEndpoint: "https://e.example.com/logout?x=1" }]) {
      const { requests: _, ...got } = await call(build, { ...base, ...options }, [], (one) =>
        one.createEndSessionURL(data),
      );
      logout.push({ data, options, ...got });
    }
  }
  const configs = [];
  for (const options of make ? [{}, ...(EVERY.includes(make) ? [EVERY_OPTION] : []), ...config] : []) {
    const { requests: _, ...got } = await attempt(async () => described(generic[make](real({ ...base, ...options }))));
    configs.push({ options, ...got });
  }
  return { ...recorded, ...(make && { config: configs }), logout };
}

/** What most providers do alike is said once; a provider keeps what it does otherwise. */
function factored(usualOnes, all) {
  const common = {};
  const parts = { authorization: "cases", token: "cases tokens", refresh: "cases tokens", idToken: "accepted" };
  for (const [part, keys] of Object.entries(parts)) {
    common[part] = {};
    for (const key of keys.split(" ")) {
      const tables = (key === "cases" ? usualOnes : all).map((one) => one[part]?.[key]).filter(Boolean);
      common[part][key] = usual(usualOnes.map((one) => one[part]?.[key]).filter(Boolean));
      for (const table of tables) {
        for (const [name, value] of Object.entries(common[part][key])) {
          if (isDeepStrictEqual(table[name], value)) delete table[name];
        }
      }
    }
  }
  return common;
}

function usual(tables) {
  const found = {};
  for (const name of new Set(tables.flatMap((table) => Object.keys(table)))) {
    const values = tables.filter((table) => name in table).map((table) => table[name]);
    const score = (value) => values.filter((one) => isDeepStrictEqual(one, value)).length;
    const best = values.reduce((one, value) => (score(value) > score(one) ? value : one));
    if (score(best) > 3) found[name] = best;
  }
  return found;
}

/** JSON with sorted keys; as much on one line as it takes. */
function text(value, indent = "") {
  const short = JSON.stringify(value, sorted);
  if (short.length + indent.length <= 118 || !value || typeof value !== "object") return short;
  const inner = `${indent} `;
  const parts = Array.isArray(value)
    ? value.map((part) => text(part, inner))
    : Object.entries(sorted("", value))
        .filter(([, part]) => part !== undefined)
        .map(([key, part]) => `${JSON.stringify(key)}: ${text(part, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${filled(parts, inner)}\n${indent}${close}`;
}

function sorted(key, part) {
  if (!part || typeof part !== "object" || Array.isArray(part)) return part;
  return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function filled(parts, indent) {
  const lines = [];
  for (const part of parts) {
    const last = lines.at(-1);
    const fits = last && !last.includes("\n") && !part.includes("\n") && last.length + part.length < 116;
    if (fits) lines[lines.length - 1] = `${last}, ${part}`;
    else lines.push(indent + part);
  }
  return lines.join(",\n");
}

const providers = {};
for (const [id, table] of Object.entries(PROVIDERS)) {
  providers[id] = await record(async (options) => socialProviders[id](real(options)), id, table);
}
const presets = {};
for (const [id, table] of Object.entries(PRESETS)) presets[id] = await recordGeneric(id, table);
const custom = {};
for (const [id, table] of Object.entries(CUSTOM)) custom[id] = await recordGeneric(id, table);
const missing = Object.keys(socialProviders).filter((id) => !providers[id]);
if (missing.length) throw new Error(`not recorded: ${missing}`);

const common = factored(Object.values(providers), [providers, presets, custom].flatMap(Object.values));

process.stdout.write(
  `${text({
    betterAuth: "1.7.25",
    now: new Date().toISOString(),
    input: { ...INPUT, code: "code-1", refreshToken: "refresh-1" },
    variations: VARIATIONS,
    tokenAnswers: TOKEN_ANSWERS,
    idTokenCases: ID_TOKEN_CASES,
    common,
    providers,
    presets,
    custom,
  })}\n`,
);
