{{/* Spec of a training Job. (dict root run), where run is "first" or "again". */}}
{{- define "mlplat.training.job" -}}
{{- $root := .root -}}
{{- $v := .root.Values.training -}}
{{- $gpu := ternary $v.gpu dict (gt (int $v.gpu.count) 0) -}}
backoffLimit: {{ $v.backoffLimit }}
activeDeadlineSeconds: {{ $v.activeDeadlineSeconds }}
{{- if not (kindIs "invalid" $v.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ $v.ttlSecondsAfterFinished }}
{{- end }}
{{ include "mlplat.podFailurePolicy" $root }}
template:
  metadata:
    labels:
      {{- include "mlplat.podLabels" (list $root "training" $v.podLabels) | nindent 6 }}
    {{- with $v.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- $nodes := mergeOverwrite (dict) ($v.nodeSelector | default dict) ($gpu.nodeSelector | default dict) }}
    {{- include "mlplat.pod" (list $root (dict "nodeSelector" $nodes)) | nindent 4 }}
    restartPolicy: Never
    {{- with $gpu.runtimeClassName }}
    runtimeClassName: {{ . | quote }}
    {{- end }}
    {{- with concat ($v.tolerations | default list) ($gpu.tolerations | default list) }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with include "mlplat.affinity" (list $root "training" (dict)) }}
    {{- . | nindent 4 }}
    {{- end }}
    containers:
      - name: train
        {{- include "mlplat.container" (list $root $v.image) | nindent 8 }}
        {{- with $v.command }}
        command:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        args:
          {{- if not $v.command }}
          - train
          {{- end }}
          {{- range $name, $value := $root.Values.model.params }}
          - --param
          - {{ printf "%s=%s" $name (ternary $value (toJson $value) (kindIs "string" $value)) | quote }}
          {{- end }}
          {{- with $v.extraArgs }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        env:
          {{- include "mlplat.jobNameEnv" "MLPLAT_RUN" | nindent 10 }}
          {{- include "mlplat.training.env" . | nindent 10 }}
          {{- include "mlplat.env" (list $root "training" $v) | nindent 10 }}
        {{- with include "mlplat.envFrom" (list $root "training" $v) }}
        envFrom:
          {{- . | trim | nindent 10 }}
        {{- end }}
        resources:
          {{- $limits := ternary (dict "limits" (dict $v.gpu.resource (int $v.gpu.count))) dict (not (empty $gpu)) }}
          {{- toYaml (mergeOverwrite (deepCopy ($v.resources | default dict)) $limits) | nindent 10 }}
        volumeMounts:
          {{- include "mlplat.mounts" (list $root "training" $v false) | nindent 10 }}
    volumes:
      {{- include "mlplat.volumes" (list $root "training" $v "") | nindent 6 }}
{{- end -}}

{{/* What to train, as environment variables, so that an image of one's own reads it too. (dict root run) */}}
{{- define "mlplat.training.env" -}}
{{- $root := .root -}}
{{- $m := .root.Values.model -}}
- {name: MLPLAT_RECIPE, value: {{ $m.recipe | quote }}}
- {name: MLPLAT_MODEL, value: {{ include "mlplat.model" $root | quote }}}
- {name: MLPLAT_VERSION, value: {{ ternary "auto" $m.version (or (not (empty $m.alias)) (eq .run "again")) | quote }}}
- {name: MLPLAT_SEED, value: {{ $m.seed | int64 | quote }}}
- {name: MLPLAT_JOBS, value: {{ $root.Values.training.jobs | quote }}}
{{- with $m.data }}
- {name: MLPLAT_DATA, value: {{ . | quote }}}
{{- end }}
{{- with $m.alias }}
- {name: MLPLAT_PROMOTE, value: {{ . | quote }}}
{{- end }}
{{- if eq .run "again" }}
{{- with $root.Values.training.retraining }}
- {name: MLPLAT_IF_BETTER, value: {{ .gate.metric | quote }}}
- {name: MLPLAT_MARGIN, value: {{ .gate.margin | quote }}}
{{- if not (kindIs "invalid" .gate.floor) }}
- {name: MLPLAT_FLOOR, value: {{ .gate.floor | quote }}}
{{- end }}
{{- with .keep }}
- {name: MLPLAT_KEEP, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- else if $m.alias }}
- {name: MLPLAT_IF_ABSENT, value: "true"}
{{- end }}
{{- end -}}
