#!/bin/sh
# Refreshes static/vendor from pinned npm packages. Run through `make vendor`.
# The registry is whatever npm is configured with; nothing is fetched at run time.
set -eu

HTMX=4.0.1
BASECOAT=1.0.2
LUCIDE=1.62.0
GEIST=5.3.0
GEIST_MONO=5.3.0
PLOTLY=4.1.1          # its basic bundle: bars, lines and pies
STYLE=nova            # basecoat's compact style pack

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unpack() {            # unpack <package> <version> <folder>
  (cd "$work" && npm pack --silent "$1@$2" >packed && mkdir -p "$3" \
    && tar xzf "$(tail -n 1 packed)" -C "$3" --strip-components 1)
}

unpack htmx.org "$HTMX" htmx
unpack basecoat-css "$BASECOAT" basecoat
unpack lucide-static "$LUCIDE" lucide
unpack @fontsource-variable/geist "$GEIST" geist
unpack @fontsource-variable/geist-mono "$GEIST_MONO" geist-mono
unpack plotly.js-basic-dist-min "$PLOTLY" plotly

mkdir -p "$here/fonts"
# The maps stay behind, so their pointers go too.
sed '/^\/\/# sourceMappingURL/d' "$work/htmx/dist/htmx.min.js" >"$here/htmx.min.js"
sed '/^\/\/# sourceMappingURL/d' "$work/htmx/dist/ext/hx-sse.min.js" >"$here/hx-sse.min.js"
cp "$work/plotly/plotly-basic.min.js" "$here/"
cp "$work/basecoat/dist/basecoat-$STYLE.cdn.min.css" "$here/basecoat.min.css"
for font in geist geist-mono; do
  for set in latin latin-ext; do
    cp "$work/$font/files/$font-$set-wght-normal.woff2" "$here/fonts/"
  done
done

# icons.txt → one sprite; "name=lucide-name" renames.
{
  echo '<svg xmlns="http://www.w3.org/2000/svg">'
  sed '/^#/d;/^$/d' "$here/icons.txt" | while IFS= read -r line; do
    name=${line%%=*}; from=${line##*=}
    printf '<symbol id="%s" viewBox="0 0 24 24">' "$name"
    sed -n '/^>/,/<\/svg>/p' "$work/lucide/icons/$from.svg" | sed '1d;$d' | tr -d '\n' | sed 's/  *</</g'
    echo '</symbol>'
  done
  echo '</svg>'
} >"$here/icons.svg"

mkdir -p "$here/licences"
cp "$work/htmx/LICENSE" "$here/licences/htmx.txt"
cp "$work/basecoat/LICENSE.md" "$here/licences/basecoat.txt"
cp "$work/lucide/LICENSE" "$here/licences/lucide.txt"
cp "$work/geist/LICENSE" "$here/licences/geist.txt"
cp "$work/plotly/LICENSE" "$here/licences/plotly.txt"
