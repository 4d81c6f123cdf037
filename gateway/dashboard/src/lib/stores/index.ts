/** The page's stores: one of each, fed by one connection. Views import them from here. */

import { connectToGateway } from "../api/connection.svelte";
import { Config } from "./config.svelte";
import { Inference } from "./inference.svelte";
import { LogFeed, Warnings } from "./logs.svelte";
import { Metrics } from "./metrics.svelte";
import { Models } from "./models.svelte";
import { Requests } from "./requests.svelte";
import { Session } from "./session.svelte";
import { System } from "./system.svelte";
import { Toasts } from "./toasts.svelte";

export const connection = connectToGateway();
export const session = new Session(connection);
export const config = new Config(connection);
export const models = new Models(connection);
export const system = new System(connection);
export const metrics = new Metrics(connection);
export const inference = new Inference(connection);
export const requests = new Requests(connection);
export const logFeed = new LogFeed(connection);
export const warnings = new Warnings(connection, logFeed);
export const toasts = new Toasts();
