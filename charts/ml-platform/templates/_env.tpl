{{/* The store's URL: as given, or a folder of the claim (not its root, where lost+found may be). */}}
{{- define "mlplat.storeURL" -}}
{{- .Values.store.url | default "file:///models/store" -}}
{{- end -}}

{{/* Whether pods mount the claim. */}}
{{- define "mlplat.hasClaim" -}}
{{- if not .Values.store.url }}true{{ end -}}
{{- end -}}

{{/* Environment of every container, with the component's own: (list $ componentValues). */}}
{{- define "mlplat.env" -}}
{{- $root := index . 0 -}}
- {name: MLPLAT_STORE, value: {{ include "mlplat.storeURL" $root | quote }}}
- {name: MLPLAT_CACHE, value: /tmp/cache}
- {name: MLPLAT_ALLOW_PICKLE, value: {{ $root.Values.model.allowPickle | quote }}}
{{- range $name, $value := $root.Values.store.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with (index . 1).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name of this Job as the environment variable that is given: versions and outputs are called after it. */}}
{{- define "mlplat.jobNameEnv" -}}
- name: {{ . }}
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"}}
{{- end -}}

{{/* Arguments that say which version is meant. */}}
{{- define "mlplat.which" -}}
- --model
- {{ include "mlplat.model" . | quote }}
{{- if .Values.model.alias }}
- --alias
- {{ .Values.model.alias | quote }}
{{- else }}
- --version
- {{ .Values.model.version | quote }}
{{- end }}
{{- end -}}

{{/* Sources of environment variables: the store's Secret, and the component's own. (list $ componentValues) */}}
{{- define "mlplat.envFrom" -}}
{{- with (index . 0).Values.store.existingSecret }}
- secretRef: {name: {{ . | quote }}}
{{- end }}
{{- with (index . 1).extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}
