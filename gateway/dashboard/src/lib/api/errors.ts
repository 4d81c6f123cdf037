/** What a request can end with instead of its reply. */

/** `code` as in docs/api.md, or one of our own: `DISCONNECTED`, `TIMEOUT`. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly code: string,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

export const DISCONNECTED = "DISCONNECTED";
export const TIMEOUT = "TIMEOUT";

/** Whether nothing has failed but the connection, which the page tells of by itself. */
export function isDisconnection(error: unknown): boolean {
  return error instanceof ApiError && error.code === DISCONNECTED;
}

/** A sentence for people, whatever was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof Error && error.message !== "") return sentence(error.message);
  return "Something went wrong that nobody expected.";
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
