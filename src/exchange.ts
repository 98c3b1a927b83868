import { type Exchange, type ExchangeOptions, exchangeSpec } from './common/exchange-spec.js';

export type { BindingOptions, Exchange, ExchangeOptions } from './common/exchange-spec.js';

/**
 * Names an exchange, for the `bindings` of a queue and for {@link defineRoute}. Nothing is declared yet. An application
 * of its own is better served by `defineTopic`; this is for exchanges that other programs share.
 *
 * ```ts
 * const logs = defineExchange('logs', { type: 'fanout', declare: 'existing' });
 * const mine = defineQueue('logs.mine', z.string(), { bindings: [{ exchange: logs }] });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function defineExchange(name: string, options?: ExchangeOptions): Exchange {
  return { name, spec: exchangeSpec(name, options) };
}
