import type { TestContext } from 'vitest';

/** What the report of a run adds up, beside its tests. */
export type Counted = "strangers' messages" | 'hostile scenes' | 'random operations';

declare module 'vitest' {
  interface TaskMeta {
    amounts?: Partial<Record<Counted, number>>;
  }
}

/** Adds to what the running test has gone through; the report at the end of the run shows the sums. */
export function countInReport({ task }: Pick<TestContext, 'task'>, counted: Counted, amount = 1): void {
  task.meta.amounts ??= {};
  task.meta.amounts[counted] = (task.meta.amounts[counted] ?? 0) + amount;
}
