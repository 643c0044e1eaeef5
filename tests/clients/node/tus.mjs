// A working session of the npm package `tus-js-client`: node tus.mjs SERVER USER PASSWORD TREE
import { createReadStream, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { FileUrlStorage, Upload } from "tus-js-client";

const [server, username, password, tree] = process.argv.slice(2);
const endpoint = `${server}/api/v1/uploads`;
const Authorization = "Basic " + Buffer.from(`${username}:${password}`).toString("base64");
const big = join(tree, "big.bin");
const size = statSync(big).size;

async function step(name, run) {
  try {
    const wrong = await run();
    if (wrong === undefined || wrong === true || wrong instanceof Upload) console.log(`ok ${name}`);
    else console.log(`FAILED ${name}: ${JSON.stringify(wrong)}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message}`);
  }
}

// Resolves with the upload when it has succeeded, or when `until` of the bytes sent says so.
function upload(source, path, options = {}, until = undefined) {
  return new Promise((resolve, reject) => {
    const one = new Upload(source, {
      endpoint,
      headers: { Authorization },
      metadata: { path, filetype: "application/octet-stream" },
      retryDelays: [0, 100, 500],
      onError: reject,
      onSuccess: () => resolve(one),
      onProgress: (sent) => {
        if (until?.(sent)) one.abort().then(() => resolve(one), reject);
      },
      ...options,
    });
    if (options.prepare) options.prepare(one).then(() => one.start(), reject);
    else one.start();
  });
}
const get = async (path) => {
  const response = await fetch(`${server}/api/v1/files/content?path=${encodeURIComponent(path)}`, {
    headers: { Authorization },
  });
  return response.status === 200 ? Buffer.from(await response.arrayBuffer()) : response.status;
};
const same = async (path, expected) => {
  const got = await get(path);
  return Buffer.isBuffer(got) ? Buffer.compare(got, expected) === 0 : got;
};
const offset = async (url) => {
  const response = await fetch(url, {
    method: "HEAD",
    headers: { Authorization, "Tus-Resumable": "1.0.0" },
  });
  return Number(response.headers.get("Upload-Offset"));
};

await step("in one request", () => upload(createReadStream(big), "/tus/one.bin"));
await step("it is as it was", () => same("/tus/one.bin", readFileSync(big)));
await step("in chunks", () =>
  upload(createReadStream(big), "/tus/chunks.bin", { chunkSize: 1_000_003 }));
await step("it is as it was", () => same("/tus/chunks.bin", readFileSync(big)));
await step("from memory", () => upload(readFileSync(big), "/tus/memory.bin"));
await step("it is as it was", () => same("/tus/memory.bin", readFileSync(big)));
await step("with its creation", () =>
  upload(createReadStream(big), "/tus/creation.bin", { uploadDataDuringCreation: true }));
await step("it is as it was", () => same("/tus/creation.bin", readFileSync(big)));
await step("nothing", () => upload(Buffer.alloc(0), "/tus/empty.bin"));
await step("it is as it was", () => same("/tus/empty.bin", Buffer.alloc(0)));

await step("aborted and resumed", async () => {
  const half = await upload(createReadStream(big), "/tus/resumed.bin", {}, (sent) => sent > size / 2);
  const kept = await offset(half.url);
  if (!(kept > 0 && kept <= size)) return kept;
  await upload(createReadStream(big), "/tus/resumed.bin", { uploadUrl: half.url });
  return same("/tus/resumed.bin", readFileSync(big));
});
await step("resumed by another process", async () => {
  const urls = () => ({ urlStorage: new FileUrlStorage(join(tree, "..", "tus-urls.json")) });
  const chunks = { chunkSize: 500_000 };
  await upload(createReadStream(big), "/tus/stored.bin", { ...urls(), ...chunks }, (sent) => sent > 600_000);
  let resumed = false;
  const prepare = async (one) => {
    const [previous] = await one.findPreviousUploads();
    resumed = previous !== undefined;
    if (resumed) one.resumeFromPreviousUpload(previous);
  };
  await upload(createReadStream(big), "/tus/stored.bin", { ...urls(), ...chunks, prepare });
  return resumed && same("/tus/stored.bin", readFileSync(big));
});
await step("terminated", async () => {
  const half = await upload(createReadStream(big), "/tus/never.bin", { chunkSize: 500_000 }, (sent) => sent > 600_000);
  await Upload.terminate(half.url, { headers: { Authorization } });
  return (await get("/tus/never.bin")) === 404;
});
await step("refused", async () => {
  try {
    await upload(Buffer.from("x"), "/tus/one.bin", { headers: { Authorization, "If-None-Match": "*" } });
    return "was not refused";
  } catch (error) {
    const status = error.originalResponse?.getStatus();
    return status === 412 || status || error.message;
  }
});
await step("all are known", async () => {
  const response = await fetch(endpoint, { headers: { Authorization } });
  const { items } = await response.json();
  const states = items.map((item) => item.state);
  return (states.length === 7 && states.every((state) => state === "stored")) || states;
});
