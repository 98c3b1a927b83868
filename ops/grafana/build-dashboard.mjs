// Writes millrace.json, the dashboard, from the list below: node ops/grafana/build-dashboard.mjs
import { writeFileSync } from 'node:fs';

const datasource = { type: 'prometheus', uid: '$datasource' };
const QUEUE = 'messaging_destination_name=~"$queue"';
const BY_QUEUE = 'messaging_destination_name';

const rate = (metric, labels = QUEUE, by = BY_QUEUE) =>
  `sum by (${by}) (rate(${metric}{${labels}}[$__rate_interval]))`;
const quantile = (share, metric) =>
  `histogram_quantile(${share}, ${rate(`${metric}_bucket`, QUEUE, `${BY_QUEUE}, le`)})`;
const quantiles = (metric) =>
  [0.5, 0.95, 0.99].map((share) => [quantile(share, metric), `{{${BY_QUEUE}}} p${share * 100}`]);
const now = (metric, labels = QUEUE, by = BY_QUEUE) => `sum by (${by}) (${metric}{${labels}})`;

/** Rows of panels: title, unit, and queries with their legends. */
const ROWS = [
  [
    'Flow',
    [
      'Sent a second',
      'ops',
      [
        rate('messaging_client_sent_messages_total', `${QUEUE}, error_type=""`),
        '{{messaging_destination_name}}',
      ],
    ],
    [
      'What becomes of messages, a second',
      'ops',
      [
        rate('millrace_settled_messages_total', QUEUE, `${BY_QUEUE}, outcome`),
        '{{messaging_destination_name}} {{outcome}}',
      ],
    ],
    [
      'Dead letters in an hour',
      'short',
      [
        `sum by (${BY_QUEUE}, reason) (increase(millrace_dead_letters_total{${QUEUE}}[1h]))`,
        '{{messaging_destination_name}} {{reason}}',
      ],
    ],
    [
      'Failed sends a second',
      'ops',
      [
        rate('messaging_client_sent_messages_total', `${QUEUE}, error_type!=""`, `${BY_QUEUE}, error_type`),
        '{{messaging_destination_name}} {{error_type}}',
      ],
    ],
  ],
  [
    'Handlers',
    ['How long handlers take', 's', ...quantiles('messaging_process_duration_seconds')],
    ['Handlers that run', 'short', [now('millrace_handlers_in_flight'), '{{messaging_destination_name}}']],
    [
      'Share of attempts that fail',
      'percentunit',
      [
        `${rate('millrace_retries_total')} / ${rate('messaging_client_consumed_messages_total')}`,
        '{{messaging_destination_name}}',
      ],
    ],
    ['Time in the queue', 's', ...quantiles('millrace_time_in_queue_seconds')],
  ],
  [
    'Queues',
    [
      'Ready',
      'short',
      [`max by (${BY_QUEUE}) (millrace_queue_ready{${QUEUE}})`, '{{messaging_destination_name}}'],
    ],
    [
      'Oldest message',
      's',
      [
        `max by (${BY_QUEUE}) (millrace_queue_oldest_age_seconds{${QUEUE}})`,
        '{{messaging_destination_name}}',
      ],
    ],
    [
      'Delayed, being handled, dead',
      'short',
      [`max by (${BY_QUEUE}) (millrace_queue_delayed{${QUEUE}})`, '{{messaging_destination_name}} delayed'],
      [
        `max by (${BY_QUEUE}) (millrace_queue_unsettled{${QUEUE}})`,
        '{{messaging_destination_name}} being handled',
      ],
      [`max by (${BY_QUEUE}) (millrace_queue_dead{${QUEUE}})`, '{{messaging_destination_name}} dead'],
    ],
    [
      'Consumers',
      'short',
      [`max by (${BY_QUEUE}) (millrace_queue_consumers{${QUEUE}})`, '{{messaging_destination_name}}'],
    ],
  ],
  [
    'Connections',
    [
      'Connected (1), blocked (2)',
      'short',
      ['millrace_link_connected + millrace_link_blocked', '{{instance}} {{broker}}'],
    ],
    ['Sends under way', 'short', [now('millrace_sends_in_flight'), '{{messaging_destination_name}}']],
    [
      'How long sends take',
      's',
      [quantile(0.95, 'messaging_client_operation_duration_seconds'), '{{messaging_destination_name}} p95'],
    ],
    [
      'Lost connections and messages sent again, in an hour',
      'short',
      ['sum by (broker) (increase(millrace_disconnections_total[1h]))', '{{broker}} disconnected'],
      ['sum by (broker) (increase(millrace_resent_messages_total[1h]))', '{{broker}} sent again'],
    ],
  ],
  [
    'Processes',
    ['Lag of the event loop, p99', 's', ['nodejs_eventloop_lag_p99_seconds', '{{instance}}']],
    ['Memory', 'bytes', ['process_resident_memory_bytes', '{{instance}}']],
    ['CPU', 'percentunit', ['rate(process_cpu_seconds_total[$__rate_interval])', '{{instance}}']],
  ],
];

const HEIGHT = 8;
const panels = [];
for (const [row, [title, ...rowPanels]] of ROWS.entries()) {
  const top = row * (HEIGHT + 1);
  panels.push({
    id: panels.length + 1,
    type: 'row',
    title,
    collapsed: false,
    panels: [],
    gridPos: { x: 0, y: top, w: 24, h: 1 },
  });
  const width = Math.floor(24 / rowPanels.length);
  for (const [column, [name, unit, ...queries]] of rowPanels.entries()) {
    panels.push({
      id: panels.length + 1,
      type: 'timeseries',
      title: name,
      datasource,
      gridPos: { x: column * width, y: top + 1, w: width, h: HEIGHT },
      fieldConfig: {
        defaults: { unit, min: 0, custom: { fillOpacity: 10, showPoints: 'never' } },
        overrides: [],
      },
      options: {
        legend: { displayMode: 'list', placement: 'bottom' },
        tooltip: { mode: 'multi', sort: 'desc' },
      },
      targets: queries.map(([expr, legendFormat], index) => ({
        refId: String.fromCharCode(65 + index),
        datasource,
        expr,
        legendFormat,
      })),
    });
  }
}

const dashboard = {
  uid: 'millrace',
  title: 'millrace',
  tags: ['millrace'],
  schemaVersion: 39,
  editable: true,
  refresh: '15s',
  time: { from: 'now-3h', to: 'now' },
  templating: {
    list: [
      { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
      {
        name: 'queue',
        label: 'Queue',
        type: 'query',
        datasource,
        query: { query: 'label_values(messaging_destination_name)', refId: 'queues' },
        multi: true,
        includeAll: true,
        allValue: '.*',
        current: { text: 'All', value: '$__all' },
        refresh: 2,
        sort: 1,
      },
    ],
  },
  panels,
};
const file = process.argv[2] ?? new URL('millrace.json', import.meta.url);
writeFileSync(file, `${JSON.stringify(dashboard, null, 2)}\n`);
