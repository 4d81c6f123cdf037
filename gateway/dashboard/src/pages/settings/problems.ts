/** What a refused change was refused for. Pure. */

import type { ConfigProblem } from "../../lib/api/contract";
import { ApiError, messageOf } from "../../lib/api/errors";

/** The parts of a refusal, or the refusal as one of them. */
export function problemsOf(error: unknown): readonly ConfigProblem[] {
  const whole = { path: "", message: messageOf(error), given: "", allowed: "" };
  if (!(error instanceof ApiError)) return [whole];
  const { problems, paths } = error.details;
  if (Array.isArray(problems)) {
    return problems.map((one: Partial<ConfigProblem>) => ({ ...whole, message: "", ...one }));
  }
  if (Array.isArray(paths)) return paths.map((path) => ({ ...whole, path: String(path) }));
  return [whole];
}
