// signIn.social and linkSocial: the browser goes to the provider and back, and what comes of it is the client's to ask for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, signedUp } from "./browser.mjs";

let people = 0;
const google = { provider: "google", callbackURL: "/home" };

/** Who Google says has come. */
const profile = (more) => ({ sub: `g-${++people}`, name: "Gina", email: `gina${people}@example.com`, email_verified: true, ...more });

/** Where a browser ends that goes where it is sent, and answers Google as `choice` says. */
async function goes({ send }, url, choice) {
	const asked = url.replace("https://accounts.google.com/o/oauth2/v2/auth", process.env.AUTHORIZE);
	const back = await fetch(asked, { method: "POST", redirect: "manual", body: new URLSearchParams(choice) });
	const end = await send(back.headers.get("location"), { method: "GET", redirect: "manual" });
	return end.headers.get("location");
}

test("a stranger signs up, and asks for what Google gave", async () => {
	const made = browser();
	const gina = profile();
	const { data } = await made.client.signIn.social({ ...google, newUserCallbackURL: "/welcome" });
	assert.equal(data.redirect, true);
	assert.equal(await goes(made, data.url, { profile: JSON.stringify(gina) }), "/welcome");
	assert.equal((await made.client.getSession()).data.user.email, gina.email);

	const accounts = (await made.client.listAccounts()).data;
	assert.deepEqual(accounts.map(({ providerId, accountId }) => [providerId, accountId]), [["google", gina.sub]]);
	assert.ok(accounts[0].createdAt instanceof Date);
	const accountId = accounts[0].id;
	const token = (await made.client.getAccessToken({ accountId })).data;
	assert.ok(token.accessTokenExpiresAt instanceof Date);
	const renewed = (await made.client.refreshToken({ accountId })).data;
	assert.notEqual(renewed.accessToken, token.accessToken);
	const info = (await made.client.accountInfo({ query: { accountId } })).data;
	assert.deepEqual([info.user.email, info.data.sub, info.account.id], [gina.email, gina.sub, accountId]);
	assert.equal((await made.client.unlinkAccount({ accountId })).error.code, "FAILED_TO_UNLINK_LAST_ACCOUNT");
});

test("a user adds Google, signs in by it, and takes it away", async () => {
	const made = await signedUp();
	const gina = { profile: JSON.stringify(profile({ email: made.user.email })) };
	const { data } = await made.client.linkSocial(google);
	assert.equal(await goes(made, data.url, gina), "/home");
	const other = browser();
	await goes(other, (await other.client.signIn.social(google)).data.url, gina);
	assert.equal((await other.client.getSession()).data.user.id, made.data.user.id);
	const added = (await made.client.listAccounts()).data.find(({ providerId }) => providerId === "google");
	assert.deepEqual((await made.client.unlinkAccount({ accountId: added.id })).data, { status: true });
});

test("who refuses lands on the page for errors", async () => {
	const made = browser();
	const { data } = await made.client.signIn.social({ ...google, errorCallbackURL: "/oops" });
	assert.match(await goes(made, data.url, { error: "access_denied" }), /^\/oops\?error=access_denied/);
	assert.equal((await made.client.getSession()).data, null);
	assert.equal((await made.client.signIn.social({ provider: "nobody" })).error.code, "PROVIDER_NOT_FOUND");
});
