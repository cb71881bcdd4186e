// The session atom, which `useSession` of every framework subscribes to.
import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.window = new EventTarget(); // without a window the client takes itself for a server, and fetches nothing
const { browser, person, signedUp } = await import("./browser.mjs");

/** What the atom says once it satisfies `is`; `until.seen` holds everything it has said. */
function watch(atom) {
	const seen = [];
	const waiting = new Set();
	const stop = atom.subscribe((value) => {
		seen.push(value);
		for (const look of waiting) look();
	});
	const until = (is) =>
		new Promise((resolve) => {
			const look = () => {
				if (is(seen.at(-1))) {
					waiting.delete(look);
					resolve(seen.at(-1));
				}
			};
			waiting.add(look);
			look();
		});
	return { seen, until, stop };
}

test("the atom goes from pending to nobody, and follows every change", async () => {
	const { client } = browser();
	const { seen, until, stop } = watch(client.useSession);
	assert.deepEqual([seen[0].data, seen[0].isPending], [null, true]);
	const nobody = await until((value) => !value.isPending);
	assert.deepEqual([nobody.data, nobody.error], [null, null]);

	const user = person();
	await client.signUp.email(user);
	const signedUp = await until((value) => value.data !== null);
	assert.equal(signedUp.data.user.email, user.email);
	assert.ok(signedUp.data.session.expiresAt instanceof Date);

	await client.updateUser({ name: "Ada Lovelace" });
	const renamed = await until((value) => value.data?.user.name === "Ada Lovelace");
	assert.equal(renamed.data.session.token, signedUp.data.session.token);

	await client.signOut();
	await until((value) => value.data === null && !value.isPending && !value.isRefetching);

	await client.signIn.email({ email: user.email, password: user.password });
	const again = await until((value) => value.data !== null);
	assert.equal(again.data.user.name, "Ada Lovelace");
	assert.notEqual(again.data.session.token, signedUp.data.session.token);
	assert.ok(seen.every(({ error }) => error === null));
	stop();
});

test("refetch asks the server once more", async () => {
	const { client, calls, jar } = browser();
	for (const [name, cookie] of (await signedUp()).jar) jar.set(name, cookie);
	const { until, stop } = watch(client.$store.atoms.session);
	const first = await until((value) => value.data !== null && !value.isRefetching);
	const before = calls.length;
	await first.refetch();
	assert.equal(calls.length, before + 1);
	assert.deepEqual(client.useSession.get().data, first.data);
	stop();
});

test("a failed sign-in leaves the atom alone", async () => {
	const { client, calls } = browser();
	const { until, stop } = watch(client.useSession);
	await until((value) => !value.isPending && !value.isRefetching);
	await client.signIn.email({ email: person().email, password: "wrong password" });
	assert.deepEqual(calls.map(({ path }) => path.replace("/api/auth", "")), ["/get-session", "/sign-in/email"]);
	await client.useSession.get().refetch();
	assert.deepEqual([client.useSession.get().data, client.useSession.get().error], [null, null]);
	stop();
});
