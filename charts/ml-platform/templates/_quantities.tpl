{{/* CPU as thousandths of a core: "100m", "1.5", 2. */}}
{{- define "mlplat.milli" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text -}}
{{- trimSuffix "m" $text | float64 | ceil | int64 -}}
{{- else -}}
{{- mulf (float64 $text) 1000 | ceil | int64 -}}
{{- end -}}
{{- end -}}

{{/* Memory as bytes: "512Mi", "1Gi", "1G", 1000000. */}}
{{- define "mlplat.bytes" -}}
{{- $text := ternary (toString .) (toString (int64 .)) (kindIs "string" .) -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $factors $unit) -}}
{{- fail (printf "%s is no amount of memory: use Mi or Gi, e.g. 512Mi." $text) -}}
{{- end -}}
{{- mulf (float64 $number) (get $factors $unit) | int64 -}}
{{- end -}}

{{/* A number of pods out of `total`: 1, "1" or "25%", rounded up. (list value total) */}}
{{- define "mlplat.share" -}}
{{- $text := toString (index . 0) -}}
{{- if hasSuffix "%" $text -}}
{{- divf (mulf (trimSuffix "%" $text | float64) (index . 1)) 100 | ceil | int -}}
{{- else -}}
{{- int $text -}}
{{- end -}}
{{- end -}}
