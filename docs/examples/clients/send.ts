// Sends a task by the generated types, reads its result, and is told what is wrong with another one.

import createClient from "openapi-fetch";
import type { paths } from "./errand.js";

const { ERRAND_URL, ERRAND_API_KEY } = process.env;
const client = createClient<paths>({ baseUrl: ERRAND_URL, headers: { authorization: `Bearer ${ERRAND_API_KEY}` } });

const sent = await client.POST("/v1/tasks", {
  body: { task: "email", kwargs: { to: ["you@example.com"], subject: "Hello", body: "It works." } },
});
if (!sent.data) throw new Error(sent.error.detail);

const result = await client.GET("/v1/tasks/{id}", { params: { path: { id: sent.data.id }, query: { wait: 20 } } });
if (!result.data) throw new Error(result.error.detail);
console.log(result.data.id, result.data.status);

const refused = await client.POST("/v1/tasks", { body: { task: "email", kwargs: { to: ["nobody"], subject: "Hello", body: "…" } } });
for (const { pointer, detail } of refused.error?.errors ?? []) console.log(pointer, detail);
