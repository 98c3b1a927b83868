/** What runs inside a thread: one call of the handler for each task. */
import type { Handler } from './handler-run.js';
import { type ThreadFailure, toError, toFailure } from './thread-failure.js';
import type { ThreadResult, ThreadTask } from './thread-task.js';

/** Never rejects: only the end of the thread itself is an error out there. */
export default async function runInThread(task: ThreadTask): Promise<ThreadResult> {
  const { module, value, context, wantsReply, abort } = task;
  const controller = new AbortController();
  abort.on('message', (failure: ThreadFailure) => controller.abort(toError(failure)));
  try {
    const handler = await handlerOf(module);
    const result = await handler(value, { ...context, signal: controller.signal });
    // Cloned here, where it can still be said that it can't be.
    return { ok: true, value: wantsReply ? structuredClone(result) : undefined };
  } catch (error) {
    return { ok: false, failure: toFailure(error) };
  } finally {
    abort.close();
  }
}

async function handlerOf(module: string): Promise<Handler<unknown>> {
  const { default: handler } = await import(module);
  if (typeof handler === 'function') return handler;
  throw new TypeError(`${module} is to export the handler, a function, as its default`);
}
