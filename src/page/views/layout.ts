/** The frame around each view. */

import { type Html, html } from '../html/html.js';
import type { Links } from '../html/links.js';
import { asset } from '../http/assets.js';
import type { View } from './view.js';

const TABS = [
  ['now', 'Now', ''],
  ['dead', 'Dead', 'dead'],
  ['schedules', 'Schedules', 'schedules'],
  ['workers', 'Workers', 'workers'],
  ['log', 'Log', 'log'],
] as const;

export interface Frame {
  readonly links: Links;
  readonly brokerUrl: string;
  readonly readOnly: boolean;
  /** The name of the view's stream, if it has one. */
  readonly stream: string | undefined;
  /** `connected`, or another state. */
  readonly state: string;
}

export function layout({ title, body, tab, hasCharts }: View, frame: Frame): Html {
  const { links, brokerUrl, readOnly, stream, state } = frame;
  const file = (name: string) => `${links.base}${asset(name)}`;
  const link = ([key, label, path]: (typeof TABS)[number]) =>
    html`<a href="${links.view(path)}"${key === tab && html` aria-current="page"`}>${label}</a>`;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${title} · millrace</title>
<link rel="icon" href="${file('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${file('page.css')}">${hasCharts === true && html`<link rel="stylesheet" href="${file('uPlot.min.css')}"><script src="${file('uPlot.iife.min.js')}" defer></script>`}
<script src="${file('page.js')}" defer></script></head>
<body data-base="${links.base}"${stream !== undefined && html` data-stream="${stream}"`}>
<a class="skip" href="#main">Skip to the content</a>
<header><nav aria-label="Views">${TABS.map(link)}</nav><p class="broker"><span id="state" data-s="${state === 'connected' ? 'ok' : 'bad'}">${state}</span> <span id="since"></span> <span class="url">${brokerUrl}</span>${readOnly && html` <span class="badge">read-only</span>`}</p><button type="button" class="plain" id="help" aria-label="Keys">?</button></header>
<p id="gone" role="status" hidden></p>
<main id="main" tabindex="-1">${body}</main>
<aside id="jobs" aria-label="Under way"></aside>
<div id="toast" role="status" aria-live="polite"></div>
<dialog id="dialog" aria-labelledby="dialog-title"></dialog>
</body></html>
`;
}

/** A page without a broker, script or link: for users who are not signed in. */
export function plainPage(title: string, text: string, more?: Html): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title} · millrace</title>${more}</head><body><h1>${title}</h1><p>${text}</p></body></html>
`;
}
