"""How the page of a report looks; fonts are those of the reader's system."""

from __future__ import annotations

STYLE = """
:root{--ink:#22303c;--soft:#6b7a88;--line:#e4e9ee;--blue:#1f6f8b}
*{box-sizing:border-box}
body{font:14px/1.55 system-ui,-apple-system,'Segoe UI',sans-serif;color:var(--ink);margin:0;
background:#f3f6f8}
main{max-width:1240px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:25px;margin:0}h2{font-size:20px;margin:0 0 4px}h3{font-size:14.5px;margin:26px 0 6px}
section{background:#fff;border:1px solid var(--line);border-radius:10px;padding:20px 24px;margin:18px 0}
.s{color:var(--soft);font-size:12.5px}.n{font:10.5px system-ui,sans-serif;fill:#6b7a88}
.chip{display:inline-block;background:#eaf2f5;border-radius:4px;padding:1px 7px;margin:2px 6px 2px 0;
font:12px ui-monospace,monospace}
.cards{display:flex;flex-wrap:wrap;gap:12px;margin:14px 0}
.card{border:1px solid var(--line);border-radius:8px;padding:10px 16px;min-width:178px;background:#fbfcfd}
.card b{display:block;font-size:25px;line-height:1.25;color:var(--blue)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th{font-weight:600;font-size:12px;color:var(--soft);white-space:nowrap}
td,th{padding:3px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child,th:first-child,.units td:nth-child(2){text-align:left}
.bar{display:inline-block;width:84px;padding:0 5px;border-radius:3px}
.wide{overflow-x:auto}.plots{display:flex;flex-wrap:wrap;gap:14px}
figure{margin:0}figcaption{font-weight:600;font-size:12.5px;margin-bottom:3px}
svg{display:block;height:auto;max-width:100%}
.pair{display:flex;flex-wrap:wrap;gap:22px}.pair figure{flex:1 1 480px;max-width:560px}
.legend span{margin-right:12px;font-size:12px}.legend i{display:inline-block;width:10px;height:10px;
border-radius:2px;margin-right:5px}
.faces{display:flex;flex-wrap:wrap;gap:14px}.face{width:150px;font-size:12px;line-height:1.35}
.face img{width:144px;border-radius:6px;display:block;margin-bottom:4px}
.face .id{color:var(--soft)}b.mis{color:#b23a48}b.too{color:#b26a00}
details{margin:10px 0}summary{cursor:pointer;color:var(--blue)}
pre{background:#f7f9fb;border:1px solid var(--line);border-radius:6px;padding:10px;overflow-x:auto;
font-size:12px}
"""
