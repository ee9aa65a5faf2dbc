"""The style of the pages: a light and a dark palette, safe for the common kinds of colour blindness; light on paper."""

CSS = """\
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2024; --muted: #667078; --rule: #e3e6e8; --panel: #f5f7f8;
  --plan: #0068a8; --alike: #b8500a; --lottery: #6f777d;
  --a0: #c9ced2; --a1: #b7d9ee; --a2: #6fb3dc; --a3: #1f7cb8; --a4: #0b3f66;
  --t0: #1c2024; --t1: #1c2024; --t2: #1c2024; --t3: #ffffff; --t4: #ffffff;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15191c; --ink: #e7eaec; --muted: #98a2a9; --rule: #2c3338; --panel: #1d2327;
    --plan: #5bb4ea; --alike: #f09a56; --lottery: #a3acb2;
    --a0: #4a5258; --a1: #19415c; --a2: #2272a6; --a3: #58aee2; --a4: #bfe3fa;
    --t0: #e7eaec; --t1: #e7eaec; --t2: #ffffff; --t3: #10161a; --t4: #10161a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; }
h1 { font-size: 1.65rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 2.6rem 0 .5rem; }
p, ul { margin: .5rem 0 .9rem; }
ul { padding-left: 1.2rem; } li { margin: .3rem 0; }
.lead { font-size: 1.08rem; }
.meta, figcaption, .note { color: var(--muted); font-size: .88rem; line-height: 1.45; }
.box { background: var(--panel); border-left: 3px solid var(--plan); padding: .8rem 1rem; margin: 1.2rem 0;
  border-radius: 0 4px 4px 0; }
.box p { margin: .35rem 0; }
figure { margin: 1rem 0 1.4rem; }
figure svg { display: block; width: 100%; height: auto; }
svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif !important; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums;
  margin: .6rem 0 .4rem; }
th, td { padding: .32rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; }
th { font-weight: 600; vertical-align: bottom; } th small { display: block; font-weight: 400; color: var(--muted); }
td .pm { color: var(--muted); }
tr.total td { border-bottom: 0; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .3rem .7rem; align-items: center;
  font-size: .88rem; }
.bars .head { grid-column: 1 / -1; color: var(--muted); margin-top: .55rem; }
.bar { display: flex; height: 1.5rem; border-radius: 3px; overflow: hidden; gap: 1px; }
.bar span { font-size: .75rem; line-height: 1.5rem; text-align: center; overflow: hidden; min-width: 0; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: .88rem; margin: .4rem 0 .6rem; }
.key b { font-weight: 600; } .key .plan { color: var(--plan); } .key .alike { color: var(--alike);
  } .key .lottery { color: var(--lottery); }
.key i { display: inline-block; width: .85rem; height: .85rem; border-radius: 2px; vertical-align: -.1rem;
  margin-right: .35rem; }
code { font-size: .9em; }
@media print {
  :root { color-scheme: light; }
  body { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  figure, table, .box, .bars { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
}
@page { margin: 16mm; }
"""
