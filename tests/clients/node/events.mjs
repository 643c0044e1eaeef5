// Live notices with the npm package `ws`: node events.mjs DRIVE USER PASSWORD
import { WebSocket } from "ws";

const [drive, username, password] = process.argv.slice(2);
const origin = new URL(drive).origin;
const basic = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

async function step(name, run) {
  try {
    const wrong = await run();
    if (wrong === undefined || wrong === true) console.log(`ok ${name}`);
    else console.log(`FAILED ${name}: ${JSON.stringify(wrong)}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message}`);
  }
}
const request = async (method, target, { body, authorization = basic } = {}) => {
  const headers = { authorization };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(`${origin}${target}`, { method, headers, body });
  if (!answer.ok) throw new Error(`${method} ${target}: ${answer.status}`);
  return answer;
};

// What comes over a socket, as a queue to wait for.
function listen({ since, protocols, headers }) {
  const query = since ? `?since=${since}` : "";
  const url = `${origin.replace(/^http/, "ws")}/api/v1/events${query}`;
  const socket = new WebSocket(url, protocols, { headers });
  const messages = [];
  let wake = () => {};
  let closed;
  socket.on("message", (data) => { messages.push(JSON.parse(data)); wake(); });
  socket.on("close", (code) => { closed ??= code; wake(); });
  socket.on("error", (error) => { closed ??= error.message; wake(); });
  const next = async (type) => {
    for (;;) {
      const at = messages.findIndex((message) => message.type === type);
      if (at >= 0) return messages.splice(at, 1)[0];
      if (closed !== undefined) throw new Error(`closed (${closed}) before ${type}`);
      await new Promise((resolve) => { wake = resolve; });
    }
  };
  const end = async () => {
    while (closed === undefined) await new Promise((resolve) => { wake = resolve; });
    return closed;
  };
  return { socket, next, end };
}

let cursor;
await step("what happens is told", async () => {
  const notices = listen({ headers: { authorization: basic } });
  await notices.next("ready");
  await request("PUT", "/dav/one.txt", { body: "1" });
  const told = await notices.next("changes");
  cursor = told.cursor;
  notices.socket.close();
  const [item] = told.items;
  return (item.path === "/one.txt" && item.kind === "changed") || told;
});
await step("what happened meanwhile is told later", async () => {
  await request("PUT", "/dav/two.txt", { body: "2" });
  await request("DELETE", "/dav/one.txt");
  const notices = listen({ since: cursor, headers: { authorization: basic } });
  const told = await notices.next("changes");
  notices.socket.close();
  const paths = told.items.map((item) => `${item.kind} ${item.path}`);
  return paths.join() === "changed /two.txt,removed /one.txt" || told;
});
await step("a token may be offered as a protocol, and its log-in ends it", async () => {
  const body = JSON.stringify({ login: username, password, cookie: false });
  const tokens = await (await request("POST", "/api/v1/auth/login", { body })).json();
  const token = tokens.access_token;
  const notices = listen({ protocols: ["coffer.v1", `bearer.${token}`] });
  await notices.next("quota");
  if (notices.socket.protocol !== "coffer.v1") return notices.socket.protocol;
  await request("POST", "/api/v1/auth/logout", { authorization: `Bearer ${token}` });
  const ended = await notices.next("ended");
  const code = await notices.end();
  return (ended.reason === "login_ended" && code === 1008) || { ended, code };
});
await step("nobody is let in without a credential", async () => {
  const code = await listen({}).end();
  return /401/.test(code) || code;
});
