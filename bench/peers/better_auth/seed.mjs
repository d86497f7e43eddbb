// node seed.mjs KEYS PEOPLE: make and fill the tables, and print the credentials as one JSON object.
import { getMigrations } from "better-auth/db/migration";
import { auth, pool } from "./auth.mjs";

const [keyCount, people] = process.argv.slice(2).map(Number);
const PASSWORD = "correct horse battery staple";
const TABLE = `
CREATE TABLE geofence (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), workspace text, name text, description text DEFAULT '',
  geometry jsonb, geometry_type text DEFAULT 'Polygon', radius_meters float, webhook_url text DEFAULT '',
  webhook_events jsonb DEFAULT '[]', metadata jsonb DEFAULT '{}', is_active bool DEFAULT true,
  group_name text DEFAULT '', source text DEFAULT 'draw', address text DEFAULT '', archived bool DEFAULT false,
  tags jsonb DEFAULT '[]', created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE INDEX ON geofence (workspace, created_at DESC)`;

function range(count) {
  return [...Array(count).keys()];
}

async function makeAll(count, size, make) {
  const made = [];
  for (let from = 0; from < count; from += size) {
    made.push(...(await Promise.all(range(Math.min(size, count - from)).map((number) => make(from + number)))));
  }
  return made;
}

await (await getMigrations(auth.options)).runMigrations();
await pool.query(TABLE);
for (const number of range(20)) {
  const [west, south] = [8 + number / 10, 47];
  const ring = [[west, south], [west + 0.05, south], [west + 0.05, south + 0.05], [west, south + 0.05], [west, south]];
  const geometry = JSON.stringify({ type: "Polygon", coordinates: [ring] });
  await pool.query("INSERT INTO geofence (workspace, name, geometry) VALUES ('bench', $1, $2)", [`Depot ${number}`, geometry]);
}
const signedUp = await makeAll(people, 8, async (number) => {
  const body = { email: `person${number}@bench.test`, name: `Person ${number}`, password: PASSWORD };
  return auth.api.signUpEmail({ body });
});
const owner = signedUp[0].user.id;
const keys = await makeAll(keyCount, 8, async (number) => {
  return (await auth.api.createApiKey({ body: { name: `Key ${number}`, userId: owner } })).key;
});
await pool.query("VACUUM ANALYZE");
const credentials = {
  keys,
  emails: signedUp.map(({ user }) => user.email),
  access_tokens: signedUp.map(({ token }) => token),
  refresh_tokens: [],
};
process.stdout.write(JSON.stringify(credentials), () => process.exit(0));
