/** What is sent to `/v1/chat/completions`. Pure. */

import { valuesOf, type ParameterTexts, type ParameterValues } from "./parameters";

export type Role = "system" | "user" | "assistant";

export interface ChatMessage {
  readonly role: Role;
  readonly content: string;
}

export interface ChatBody extends ParameterValues {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream: true;
  readonly stream_options: { readonly include_usage: true };
}

export function bodyOf(
  model: string,
  system: string,
  turns: readonly ChatMessage[],
  parameters: ParameterTexts,
): ChatBody {
  return {
    model,
    messages: alternating([{ role: "system", content: system.trim() }, ...turns]),
    ...valuesOf(parameters),
    stream: true,
    stream_options: { include_usage: true },
  };
}

/**
 * What says nothing is left out (an answer that failed before its first word). What then stands side
 * by side is joined: many chat templates refuse two turns of the same side.
 */
export function alternating(messages: readonly ChatMessage[]): ChatMessage[] {
  const kept: ChatMessage[] = [];
  for (const { role, content } of messages) {
    if (content === "") continue;
    const last = kept.at(-1);
    if (last?.role === role) kept[kept.length - 1] = { role, content: `${last.content}\n\n${content}` };
    else kept.push({ role, content });
  }
  return kept;
}
