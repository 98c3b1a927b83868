/** Long-running work: replays, drops and moves, with their progress and the outcome of each message. */
import { errorText } from '../../common/options.js';
import { isQueueError } from '../../errors.js';
import type { JobView } from '../client/job-view.js';

/** How many outcomes are kept for one job. No job of the page takes more dead letters. */
const MAX_OUTCOMES = 50_000;
/** How many ended jobs are kept, and how many of their outcomes in all. */
const MAX_KEPT = 50;
const MAX_KEPT_OUTCOMES = 100_000;
const MAX_DETAIL = 300;
const MAX_UNDER_WAY = 20;

export interface MessageResult {
  readonly id: string;
  readonly outcome: 'replayed' | 'dropped' | 'moved' | 'stays' | 'gone';
  readonly detail: string;
}

/** Receives the outcomes of a job, and stops it. */
export interface JobContext {
  outcome(outcome: MessageResult): void;
  readonly signal: AbortSignal;
}

export interface JobPlan {
  readonly action: string;
  readonly queue: string;
  /** Jobs with the same value run one after the other, since they would take each other's messages. */
  readonly turn: string;
  /** The number of messages that was shown to its user. */
  readonly expected: number;
  /** Resolves to a sentence about its result. */
  readonly run: (context: JobContext) => Promise<string>;
}

export class Job {
  readonly id: string;
  readonly plan: JobPlan;
  readonly outcomes: MessageResult[] = [];
  readonly #stopped = new AbortController();
  #done = 0;
  #stay = 0;
  #state: JobView['state'] = 'waiting';
  #text = '';
  #ok = false;

  constructor(id: string, plan: JobPlan) {
    this.id = id;
    this.plan = plan;
  }

  get view(): JobView {
    const { action, queue, expected } = this.plan;
    const [done, stay, state] = [this.#done, this.#stay, this.#state];
    return { id: this.id, action, queue, expected, done, stay, state, text: this.#text, ok: this.#ok };
  }

  /** How many outcomes were too many to keep. */
  get forgotten(): number {
    return this.#done + this.#stay - this.outcomes.length;
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  stop(): void {
    if (this.hasEnded) return;
    this.#state = 'stopping';
    this.#stopped.abort();
  }

  async run(): Promise<void> {
    if (this.#state === 'waiting') this.#state = 'running';
    try {
      this.#text = await this.plan.run({
        signal: this.#stopped.signal,
        outcome: (outcome) => this.#record(outcome),
      });
      this.#ok = this.#done >= this.plan.expected;
    } catch (error) {
      const isStopped = this.#stopped.signal.aborted && isQueueError(error, 'ABORTED');
      const why = isStopped ? 'stopped' : `ended early: ${errorText(error)}`;
      this.#text = `${why}; ${this.#done} of ${this.plan.expected} were done, the others stay`;
    }
    this.#state = 'ended';
  }

  #record(outcome: MessageResult): void {
    if (outcome.outcome === 'stays' || outcome.outcome === 'gone') this.#stay++;
    else this.#done++;
    if (this.outcomes.length >= MAX_OUTCOMES) return;
    this.outcomes.push({ ...outcome, detail: outcome.detail.slice(0, MAX_DETAIL) });
  }
}

export class Jobs {
  readonly #jobs = new Map<string, Job>();
  readonly #turns = new Map<string, Promise<void>>();
  readonly #onChange: () => void;
  #last = 0;

  /** `onChange`: called when a job starts or ends. Must not throw. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The running jobs, and the last ones that have ended. */
  get views(): readonly JobView[] {
    return [...this.#jobs.values()].slice(-MAX_UNDER_WAY).map(({ view }) => view);
  }

  find(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  /** Whether a job works on these messages. */
  isBusy(turn: string): boolean {
    return this.#turns.has(turn);
  }

  /** Undefined if too many jobs are running. `onEnd` must not throw. */
  start(plan: JobPlan, onEnd: (job: Job) => void): Job | undefined {
    if ([...this.#jobs.values()].filter((job) => !job.hasEnded).length >= MAX_UNDER_WAY) return undefined;
    this.#last++;
    const job = new Job(`${Date.now().toString(36)}-${this.#last}`, plan);
    this.#jobs.set(job.id, job);
    this.#forgetOld(job);
    const before = this.#turns.get(plan.turn) ?? Promise.resolve();
    const run = before
      .then(() => job.run())
      .then(() => {
        if (this.#turns.get(plan.turn) === run) this.#turns.delete(plan.turn);
        this.#forgetOld(job);
        onEnd(job);
        this.#onChange();
      });
    this.#turns.set(plan.turn, run);
    this.#onChange();
    return job;
  }

  /** Stops all jobs, and resolves when they have ended. */
  async close(): Promise<void> {
    for (const job of this.#jobs.values()) job.stop();
    await Promise.all(this.#turns.values());
  }

  /** Forgets old jobs, but not `latest`, which has just begun or ended. */
  #forgetOld(latest: Job): void {
    let outcomes = 0;
    for (const job of this.#jobs.values()) outcomes += job.outcomes.length;
    for (const [id, job] of this.#jobs) {
      if (this.#jobs.size <= MAX_KEPT && outcomes <= MAX_KEPT_OUTCOMES) return;
      if (!job.hasEnded || job === latest) continue;
      this.#jobs.delete(id);
      outcomes -= job.outcomes.length;
    }
  }
}
