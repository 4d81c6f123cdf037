/** What the page has the gateway do with models; what goes wrong is told by a toast. */

import type { LoadModel } from "../../lib/api/contract";
import { isDisconnection, messageOf } from "../../lib/api/errors";
import { connection, toasts } from "../../lib/stores";

export async function load(request: LoadModel): Promise<void> {
  await told(`${request.id} was not loaded`, () =>
    connection.request("models:load", request, { timeoutMs: null }),
  );
}

/** Also calls off a load that is under way. */
export async function unload(id: string): Promise<void> {
  await told(`${id} was not unloaded`, () =>
    connection.request("models:unload", { id }, { timeoutMs: null }),
  );
}

async function told(failed: string, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    // The page tells of a lost connection by itself, and of the model when it is back.
    if (!isDisconnection(error)) toasts.show("error", `${failed}: ${messageOf(error)}`);
  }
}
