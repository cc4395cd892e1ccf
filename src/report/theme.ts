/**
 * Colours and shapes of reports and pictures, light and dark.
 *
 * The six colours can be told apart by readers who do not see red or green, and each has at least
 * three times the luminance contrast to the background; dashes and marks repeat what they say.
 */

const light = "--paper:#fff;--ink:#1d2329;--quiet:#57606a;--rule:#d4d9de;--grid:#e6e9ec;" +
  "--shade:#f6e7cf;--panel:#f6f8fa;--offered:#767d85;--c0:#0b62a8;--c1:#c44a00;--c2:#007a5a;" +
  "--c3:#a0457f;--c4:#7d6300;--c5:#454b52;"

const dark = "--paper:#14181c;--ink:#e4e8ec;--quiet:#9aa4ae;--rule:#3c454e;--grid:#2a3138;" +
  "--shade:#3d3322;--panel:#1c2227;--offered:#98a1aa;--c0:#6cb4f5;--c1:#ff9a5c;--c2:#3ccfa2;" +
  "--c3:#e49aca;--c4:#dfca48;--c5:#c5cbd1;"

const dashes = ["", "9 4", "2 4", "12 3 3 3", "5 3", "1 4"]

const chart = "svg{font:13px system-ui,-apple-system,\"Segoe UI\",sans-serif}" +
  "svg text{fill:var(--ink)}svg .quiet{fill:var(--quiet)}svg .strong{font-weight:600}" +
  "svg .title{font-size:17px;font-weight:600}.paper{fill:var(--paper)}.shade{fill:var(--shade)}" +
  ".grid{stroke:var(--grid)}.axis{stroke:var(--quiet)}" +
  ".line{fill:none;stroke-width:2.5;stroke-linejoin:round}" +
  ".offered{stroke:var(--offered);stroke-width:1.75;stroke-dasharray:1.5 3}" +
  ".interval{stroke-width:4;stroke-linecap:round;opacity:.45}.mark{stroke:none}" +
  ".circuit.closed{fill:var(--c2)}.circuit.half-open{fill:var(--c4)}.circuit.open{fill:var(--c1)}" +
  dashes.map((dash, index) =>
    `.s${index}{stroke:var(--c${index})}.mark.s${index}{fill:var(--c${index})}` +
    (dash === "" ? "" : `.line.s${index}{stroke-dasharray:${dash}}`)
  ).join("")

/** The style of a picture that stands alone. */
export const pictureCss = `:root{${light}}@media(prefers-color-scheme:dark){:root{${dark}}}${chart}`

/** The style of a page. */
export const pageCss = pictureCss +
  "*{box-sizing:border-box}html{color-scheme:light dark;-webkit-text-size-adjust:100%}" +
  "body{margin:0;background:var(--paper);color:var(--ink);" +
  "font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",sans-serif}" +
  "main{max-width:800px;margin:0 auto;padding:28px 20px 56px}" +
  "h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}" +
  "h2{font-size:20px;margin:44px 0 8px}h3{font-size:16px;margin:28px 0 2px}" +
  "p{margin:8px 0}ul{margin:8px 0;padding-left:22px}li{margin:4px 0;overflow-wrap:anywhere}" +
  ".note{color:var(--quiet);font-size:14px}" +
  ".panel{background:var(--panel);border-left:4px solid var(--c0);padding:10px 16px;" +
  "margin:18px 0;overflow-wrap:anywhere}.panel.warn{border-color:var(--c1)}" +
  ".scroll{overflow-x:auto;margin-top:14px}" +
  "table{border-collapse:collapse;width:100%;font-size:15px;font-variant-numeric:tabular-nums}" +
  "caption{text-align:left;color:var(--quiet);font-size:14px;padding:0 0 6px}" +
  "th,td{text-align:right;padding:7px 0 7px 18px;border-bottom:1px solid var(--rule);" +
  "vertical-align:top}th:first-child,td:first-child{text-align:left;padding-left:0}" +
  "thead th{font-size:14px;overflow-wrap:break-word;max-width:150px}tbody th{font-weight:400}" +
  "td small{display:block;color:var(--quiet);font-size:13px}" +
  ".words td,.words th{text-align:left}.words th{width:34%;color:var(--quiet)}" +
  ".words td{overflow-wrap:anywhere}" +
  "figure{margin:6px 0 0}svg{display:block;width:100%;height:auto}.narrow{display:none}" +
  "@media(max-width:560px){main{padding:18px 14px 40px}h1{font-size:22px}" +
  ".wide{display:none}.narrow{display:block}table{font-size:14px}" +
  "th,td{padding-left:10px}.words th{width:36%}}" +
  "@media print{main{max-width:none}figure,table,.panel{break-inside:avoid}}"
