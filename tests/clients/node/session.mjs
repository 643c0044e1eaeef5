// A working session of the npm package `webdav`: node session.mjs DRIVE USER PASSWORD TREE
import { createReadStream, createWriteStream, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createClient } from "webdav";

const [drive, username, password, tree] = process.argv.slice(2);
const client = createClient(drive, { username, password });

async function step(name, run) {
  try {
    const wrong = await run();
    if (wrong === undefined || wrong === true) console.log(`ok ${name}`);
    else console.log(`FAILED ${name}: ${JSON.stringify(wrong)}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message}`);
  }
}
const refused = async (promise, status) => {
  try {
    await promise;
    return "was not refused";
  } catch (error) {
    return error.status === status || `status ${error.status}`;
  }
};

const names = readdirSync(tree);
const files = names.filter((name) => statSync(join(tree, name)).isFile());
const many = readdirSync(join(tree, "many"));

await step("does not exist", async () => (await client.exists("/tree")) === false);
await step("create folder", () => client.createDirectory("/tree"));
await step("create it again", () => refused(client.createDirectory("/tree"), 405));
for (const name of files) {
  await step(`put ${name}`, () =>
    client.putFileContents(`/tree/${name}`, readFileSync(join(tree, name))));
}
let deep = "deep";
for (;;) {
  const entries = readdirSync(join(tree, deep));
  if (entries[0].endsWith(".txt")) break;
  deep += `/${entries[0]}`;
}
await step("create deep folders", () => client.createDirectory(`/tree/${deep}`, { recursive: true }));
await step("put deep", () =>
  client.putFileContents(`/tree/${deep}/bottom.txt`, readFileSync(join(tree, deep, "bottom.txt"))));
await step("create many", () => client.createDirectory("/tree/many"));
await step("put many", async () => {
  for (let at = 0; at < many.length; at += 8) {
    await Promise.all(many.slice(at, at + 8).map((name) =>
      client.putFileContents(`/tree/many/${name}`, readFileSync(join(tree, "many", name)))));
  }
});
await step("list", async () => {
  const listed = (await client.getDirectoryContents("/tree")).map((entry) => entry.basename);
  const missing = names.filter((name) => !listed.includes(name));
  return (missing.length === 0 && listed.length === names.length) || { missing, listed };
});
await step("list many", async () =>
  (await client.getDirectoryContents("/tree/many")).length === many.length);
await step("list details", async () => {
  const entries = await client.getDirectoryContents("/tree", { details: true });
  const big = entries.data.find((entry) => entry.basename === "big.bin");
  return big.size === statSync(join(tree, "big.bin")).size && Boolean(big.etag) && Boolean(big.lastmod);
});
// A refusal of the infinite depth is an answer that the library hands on as its status.
await step("infinite depth", () => refused(client.getDirectoryContents("/tree", { deep: true }), 403));
for (const name of files) {
  await step(`get ${name}`, async () =>
    Buffer.compare(await client.getFileContents(`/tree/${name}`), readFileSync(join(tree, name))) === 0);
}
await step("get as text", async () =>
  (await client.getFileContents("/tree/it's.txt", { format: "text" })) === "it's.txt");
await step("stat", async () => (await client.stat("/tree/empty.bin")).size === 0);
await step("stat folder", async () => (await client.stat("/tree")).type === "directory");
await step("range", async () => {
  const chunks = [];
  for await (const chunk of client.createReadStream("/tree/big.bin", { range: { start: 5, end: 9 } })) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).length === 5;
});
await step("stream up", () => pipeline(
  createReadStream(join(tree, "big.bin")),
  client.createWriteStream("/streamed.bin", {}, () => {})));
await step("stream down", async () => {
  await pipeline(client.createReadStream("/tree/big.bin"), createWriteStream("/dev/null"));
});
await step("keep the old one", async () =>
  (await client.putFileContents("/tree/empty.bin", "x", { overwrite: false })) === false);
await step("overwrite", () => client.putFileContents("/note.txt", "first"));
await step("overwrite", () => client.putFileContents("/note.txt", "second"));
await step("read back", async () =>
  (await client.getFileContents("/note.txt", { format: "text" })) === "second");
await step("rename", () => client.moveFile("/note.txt", "/moved.txt"));
await step("rename in case only", () => client.moveFile("/moved.txt", "/MOVED.txt"));
await step("old name", async () => (await client.exists("/moved.txt")) === false);
await step("copy", () => client.copyFile("/MOVED.txt", "/copied #1.txt"));
await step("copy folder", () => client.copyFile("/tree", "/copy"));
await step("partial update", async () => {
  await client.putFileContents("/part.txt", "0123456789");
  await client.partialUpdateFileContents("/part.txt", 2, 4, "abc");
  return (await client.getFileContents("/part.txt", { format: "text" })) === "01abc56789";
});
await step("lock", async () => {
  const lock = await client.lock("/MOVED.txt", { timeout: "Second-300" });
  const kept = await refused(client.putFileContents("/MOVED.txt", "from another"), 423);
  await client.unlock("/MOVED.txt", lock.token);
  await client.putFileContents("/MOVED.txt", "after the lock");
  return kept;
});
await step("free space", async () => {
  const quota = await client.getQuota();
  return (quota !== null && quota.available > 0 && quota.used > 0) || quota;
});
await step("delete", () => client.deleteFile("/MOVED.txt"));
await step("delete folder", () => client.deleteFile("/copy"));
await step("gone", async () => (await client.exists("/copy")) === false);
await step("wrong password", () =>
  refused(createClient(drive, { username, password: "wrong" }).getDirectoryContents("/"), 401));
