// signIn.popup: a window goes to the provider and back, and its last page tells the page that opened it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import vm from "node:vm";
import { oauthPopupClient } from "better-auth/client/plugins";
import { browser, origin } from "./browser.mjs";

const gina = { sub: "g-1", name: "Gina", email: "gina@example.com", email_verified: true };

/** A page with a browser around it, whose windows show Gina what Google asks; she answers as `choice` says. */
function page(choice) {
	const shown = new EventTarget();
	const windows = [];
	Object.assign(shown, { location: new URL(`${origin}/shop`), screenX: 0, screenY: 0, outerWidth: 800, outerHeight: 600 });
	shown.self = shown.top = shown;
	shown.open = (url) => {
		const opened = { closed: false, close: () => void (opened.closed = true), focus: () => {} };
		windows.push(opened);
		visit(url, opened).catch((error) => void (opened.failure = error));
		return opened;
	};
	globalThis.window = shown;
	const made = browser({ plugins: [oauthPopupClient()] });

	async function visit(url, opened) {
		const away = await made.send(url, { method: "GET", redirect: "manual" });
		if (away.status === 200) return show(await away.text(), away.headers, opened);
		const asked = away.headers.get("location").replace("https://accounts.google.com/o/oauth2/v2/auth", process.env.AUTHORIZE);
		const back = await fetch(asked, { method: "POST", redirect: "manual", body: new URLSearchParams(choice) });
		const end = await made.send(back.headers.get("location"), { method: "GET", redirect: "manual" });
		show(await end.text(), end.headers, opened);
	}

	/** What a browser makes of our page. */
	function show(html, headers, opened) {
		const [, data] = html.match(/<script type="application\/json" id="better-auth-oauth-popup">(.*?)<\/script>/);
		const [, script] = html.match(/<script>(.*?)<\/script>/s);
		const digest = createHash("sha256").update(script).digest("base64");
		assert.ok(headers.get("content-security-policy").includes(`script-src 'sha256-${digest}'`));
		const opener = {
			postMessage(message, target) {
				opened.target = target;
				if (target !== shown.location.origin) return;
				shown.dispatchEvent(new MessageEvent("message", { data: structuredClone(message), origin }));
			},
		};
		const document = { getElementById: (id) => (id === "better-auth-oauth-popup" ? { text: data } : null) };
		vm.runInNewContext(script, { window: { opener, close: opened.close }, document });
	}

	return { ...made, windows };
}

test("who consents is signed in", async () => {
	const { client, jar, windows } = page({ profile: JSON.stringify(gina) });
	const answer = await client.signIn.popup({ provider: "google", callbackURL: "/home", scopes: ["drive"] });
	assert.deepEqual(answer, { data: { success: true }, error: null });
	assert.deepEqual([windows[0].closed, windows[0].target, windows[0].failure], [true, origin, undefined]);
	assert.deepEqual([...jar.keys()], ["better-auth.session_token"]);
	assert.equal((await client.getSession()).data.user.email, gina.email);
});

test("who refuses is not", async () => {
	const { client, jar, windows } = page({ error: "access_denied" });
	const { data, error } = await client.signIn.popup({ provider: "google", errorCallbackURL: "/oops" });
	assert.deepEqual([data, error.code], [null, "access_denied"]);
	assert.deepEqual([windows[0].closed, windows[0].failure], [true, undefined]);
	assert.deepEqual([...jar.keys()], []);
});

test("what is wrong at once is told of", async () => {
	const { client } = page({});
	const nobody = await client.signIn.popup({ provider: "nobody" });
	assert.deepEqual(nobody.error, { code: "provider_not_found", message: "Unknown provider: nobody" });
	const elsewhere = await client.signIn.popup({ provider: "google", callbackURL: "https://evil.example/" });
	assert.equal(elsewhere.error.code, "invalid_callback_url");
});
