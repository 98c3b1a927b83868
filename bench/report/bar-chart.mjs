import { formatNumber } from '../console-table.mjs';

const WIDTH = 760;
const LABEL_WIDTH = 260;
const VALUE_WIDTH = 110;
const BAR = 18;
const GAP = 8;
const TOP = 44;

/** A plain horizontal bar chart as SVG, readable on a light and on a dark page. `bars`: { label, value, kind }. */
export function barChart({ title, unit, bars }) {
  const height = TOP + bars.length * (BAR + GAP) + GAP;
  const longest = Math.max(...bars.map(({ value }) => value));
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const rows = bars.map(({ label, value, kind }, index) => {
    const y = TOP + index * (BAR + GAP);
    const length = Math.max(1, Math.round((value / longest) * room));
    const middle = y + BAR / 2;
    return [
      `<text class="label" x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end">${escapeXml(label)}</text>`,
      `<rect class="${kind ?? 'peer'}" x="${LABEL_WIDTH}" y="${y}" width="${length}" height="${BAR}" rx="2"/>`,
      `<text class="value" x="${LABEL_WIDTH + length + 8}" y="${middle}">${formatNumber(value)}</text>`,
    ].join('\n  ');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeXml(title)}">
  <style>
    text { font: 13px system-ui, sans-serif; fill: #24292f; dominant-baseline: central; }
    .title { font-weight: 600; font-size: 14px; }
    .unit { fill: #57606a; }
    .ours { fill: #b45309; }
    .peer { fill: #8c959f; }
    .floor { fill: #d0d7de; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .unit { fill: #9198a1; }
      .ours { fill: #f59e0b; }
      .peer { fill: #6e7681; }
      .floor { fill: #3d444d; }
    }
  </style>
  <text class="title" x="12" y="20">${escapeXml(title)} <tspan class="unit" font-weight="400">(${escapeXml(unit)})</tspan></text>
  ${rows.join('\n  ')}
</svg>
`;
}

function escapeXml(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`);
}
