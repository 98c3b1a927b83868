/** Answers requests that act: starts what an operator has confirmed, and writes it to the audit. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText } from '../../common/options.js';
import { type ActionRequest, actAtOnce, parseAction, planOf } from '../actions/actions.js';
import type { AppParts, AppServices } from '../app-parts.js';
import type { PageRequest } from '../page-types.js';
import { BadRequest, readJson, sendJson } from './exchange.js';

export class ActionEndpoint {
  readonly #parts: AppParts;
  readonly #services: AppServices;

  constructor(parts: AppParts, services: AppServices) {
    this.#parts = parts;
    this.#services = services;
  }

  async answer(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const stopped = /^\/jobs\/([\w-]+)\/stop$/.exec(path)?.[1];
    if (path !== '/actions' && stopped === undefined) return sendJson(response, 404, { error: 'not here' });
    if (this.#parts.readOnly) return sendJson(response, 403, { error: 'this page is read-only' });
    if (stopped !== undefined) return this.#stop(stopped, request, response);
    const action = parseAction(await readJson(request));
    const user = this.#parts.user(request as unknown as PageRequest);
    try {
      this.#checkShown(action);
      const done = await actAtOnce(this.#parts.broker, action);
      if (done === undefined) return await this.#startJob(action, user, response);
      this.#record(user, action.action, action.queue, done, true);
      await this.#services.sampler.renew();
      sendJson(response, 200, { text: `'${action.queue}': ${done}` });
    } catch (error) {
      this.#record(user, action.action, action.queue, errorText(error), false);
      throw error;
    }
  }

  #stop(id: string, request: IncomingMessage, response: ServerResponse): void {
    const { jobs, live } = this.#services;
    const job = jobs.find(id);
    if (job !== undefined && !job.hasEnded) {
      const { action, queue } = job.plan;
      this.#record(this.#parts.user(request as unknown as PageRequest), 'stop', queue, action, true);
      job.stop();
      live.pushAll();
    }
    sendJson(response, 200, { text: 'stopping' });
  }

  async #startJob(action: ActionRequest, user: string, response: ServerResponse): Promise<void> {
    const { broker } = this.#parts;
    const { sampler, jobs, reader } = this.#services;
    const info = await sampler.find(action.queue);
    if (info === undefined) return sendJson(response, 404, { error: `there is no queue '${action.queue}'` });
    const job = jobs.start(planOf(broker, action, info), ({ plan, view }) => {
      this.#record(user, plan.action, plan.queue, view.text, view.ok);
      reader.forget(info);
      void sampler.renew();
    });
    if (job === undefined)
      return sendJson(response, 429, { error: 'too many jobs are running: wait, or stop one' });
    sendJson(response, 202, { job: job.view });
  }

  #checkShown({ queue, to }: ActionRequest): void {
    const shown = this.#parts.queues;
    if (shown === undefined) return;
    for (const name of [queue, ...(to === undefined ? [] : [to])]) {
      if (!shown.includes(name)) throw new BadRequest(403, `'${name}' is not one of the queues of this page`);
    }
  }

  #record(user: string, action: string, queue: string, outcome: string, ok: boolean): void {
    this.#parts.audit.add({ user, action, queue, outcome, ok });
  }
}
