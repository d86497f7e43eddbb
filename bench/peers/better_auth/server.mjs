// node server.mjs PORT PROCESSES
import cluster from "node:cluster";
import { createServer } from "node:http";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { auth, pool } from "./auth.mjs";

const [port, processes] = process.argv.slice(2).map(Number);
const PAGE = "SELECT * FROM geofence WHERE workspace = $1 ORDER BY created_at DESC LIMIT 50";
const handleAuth = toNodeHandler(auth);

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

async function findWorkspace(request) {
  const key = request.headers["x-api-key"];
  if (key) {
    return (await auth.api.verifyApiKey({ body: { key } })).valid ? "bench" : null;
  }
  return (await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })) ? "bench" : null;
}

async function handle(request, response) {
  if (request.url.startsWith("/api/auth/")) return handleAuth(request, response);
  const workspace = await findWorkspace(request);
  if (!workspace) return answer(response, 401, { detail: "Invalid credentials." });
  const page = await pool.query({ name: "page", text: PAGE, values: [workspace] });
  return answer(response, 200, { geofences: page.rows, count: page.rowCount });
}

if (cluster.isPrimary) {
  for (let number = 0; number < processes; number += 1) cluster.fork();
} else {
  createServer((request, response) => {
    handle(request, response).catch((error) => answer(response, 500, { detail: String(error) }));
  }).listen(port, "127.0.0.1");
}
