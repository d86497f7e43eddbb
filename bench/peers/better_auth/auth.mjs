// better-auth as its documentation sets it up, with the limits and the password cost of the service.
import { apiKey } from "@better-auth/api-key";
import { hash, verify } from "@node-rs/argon2";
import { betterAuth } from "better-auth";
import { bearer } from "better-auth/plugins";
import pg from "pg";

const COST = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 }; // Argon2id is its default algorithm

export const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });

export const auth = betterAuth({
  database: pool,
  secret: process.env.SECRET_KEY,
  baseURL: process.env.PUBLIC_URL,
  logger: { level: "error" },
  telemetry: { enabled: false },
  advanced: { ipAddress: { ipAddressHeaders: ["x-forwarded-for"] } },
  emailAndPassword: {
    enabled: true,
    password: {
      hash: (password) => hash(password, COST),
      verify: ({ hash: hashed, password }) => verify(hashed, password),
    },
  },
  rateLimit: { enabled: true, window: 60, max: 100 },
  plugins: [bearer(), apiKey({ rateLimit: { enabled: true, timeWindow: 3600 * 1000, maxRequests: 20000 } })],
});
