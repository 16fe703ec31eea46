{{/* The reference of the image. */}}
{{- define "mlplat.image" -}}
{{- with .Values.image -}}
{{- $repository := ternary .repository (printf "%s/%s" (.registry | default "" | trimSuffix "/") .repository) (empty .registry) -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}
